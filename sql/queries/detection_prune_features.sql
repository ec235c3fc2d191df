-- Drop features that no model is trained on any more.
delete from place_features where at < instant(%(before_us)s)
