-- Scores of long ago.
delete from score_history where until < %(before)s
