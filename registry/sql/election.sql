-- name: drop_elected
DELETE FROM staged_change WHERE tenant_id = %(tenant)s AND run_id = %(run)s AND action = 'elected'

-- name: clear_elected
UPDATE staged_change SET winner_id = NULL, rule = NULL, similarity = NULL, suppressed = false, reelected = false
WHERE tenant_id = %(tenant)s AND run_id = %(run)s AND (winner_id IS NOT NULL OR suppressed OR reelected)
