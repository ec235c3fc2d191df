-- Whether an incident was useful, as somebody says; null takes it back.
update incidents set useful = %(useful)s, note = %(note)s, feedback_at = now() where incident_id = %(incident_id)s
