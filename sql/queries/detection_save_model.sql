-- Keep a trained model as a candidate.
insert into models (kind, data_since, data_until, status, reason, figures, body)
values (%(kind)s, instant(%(since_us)s), instant(%(until_us)s), 'candidate', %(reason)s, %(figures)s::jsonb, %(body)s)
returning model_id
