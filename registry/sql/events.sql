-- name: accept_delivery
INSERT INTO delivery (tenant_id, collection_id, sender, delivery, body_sha256)
VALUES (%(tenant)s, %(collection)s, %(sender)s, %(delivery)s, %(body_sha256)s)
ON CONFLICT ON CONSTRAINT delivery_key DO NOTHING
RETURNING id

-- name: earlier_delivery
SELECT body_sha256, collection_id FROM delivery
WHERE tenant_id = %(tenant)s AND sender = %(sender)s AND delivery = %(delivery)s

-- name: accept_events
INSERT INTO event (tenant_id, collection_id, delivery_id, source_id, uri, action)
SELECT %(tenant)s, %(collection)s, %(delivery)s, e.source, e.uri, e.action
FROM unnest(%(sources)s::int[], %(uris)s::text[], %(actions)s::text[]) AS e(source, uri, action)

-- name: find_delivery
SELECT d.sender, d.delivery, c.name, d.received_at
FROM delivery d JOIN collection c ON c.id = d.collection_id
WHERE d.tenant_id = %(tenant)s AND d.sender = %(sender)s AND d.delivery = %(delivery)s

-- name: events_of_delivery
SELECT s.name, e.uri, e.action, e.state, e.outcome, e.error, e.attempts, e.run_id::text
FROM event e JOIN source s ON s.id = e.source_id JOIN delivery d ON d.id = e.delivery_id
WHERE d.tenant_id = %(tenant)s AND d.sender = %(sender)s AND d.delivery = %(delivery)s
ORDER BY e.id LIMIT %(most)s

-- name: pending_collections
-- collections whose events are due: the last came long enough ago, or the first waits too long; those that a
-- living run works on are not
SELECT c.id, c.name, p.events, p.oldest
FROM (
    SELECT e.collection_id, count(*) AS events, min(e.received_at) AS oldest, max(e.received_at) AS newest
    FROM event e LEFT JOIN run r ON r.id = e.run_id
    WHERE e.tenant_id = %(tenant)s AND e.state = 'pending' AND e.due_at <= clock_timestamp()
      AND (r.id IS NULL OR r.state <> 'running')
    GROUP BY e.collection_id
) AS p
JOIN collection c ON c.id = p.collection_id
WHERE p.newest <= clock_timestamp() - make_interval(secs => %(debounce)s)
   OR p.oldest <= clock_timestamp() - make_interval(secs => %(max_wait)s)
ORDER BY p.oldest LIMIT 1000

-- name: pending_sources
SELECT DISTINCT s.id, s.name, s.root_url, s.include, s.exclude
FROM event e JOIN source s ON s.id = e.source_id LEFT JOIN run r ON r.id = e.run_id
WHERE e.tenant_id = %(tenant)s AND e.collection_id = %(collection)s AND e.state = 'pending'
  AND e.due_at <= clock_timestamp() AND (r.id IS NULL OR r.state <> 'running')
ORDER BY s.id LIMIT 10000

-- name: fail_deadly_events
UPDATE event e SET state = 'failed', settled_at = clock_timestamp(), crashes = e.crashes + 1, error = %(error)s
FROM run r
WHERE e.tenant_id = %(tenant)s AND e.source_id = %(source)s AND e.state = 'pending' AND r.id = e.run_id
  AND r.state = 'crashed' AND e.crashes + 1 >= %(deadly)s

-- name: due_events
SELECT count(*), coalesce(max(e.crashes + (r.state IS NOT DISTINCT FROM 'crashed')::int), 0)
FROM event e LEFT JOIN run r ON r.id = e.run_id
WHERE e.tenant_id = %(tenant)s AND e.collection_id = %(collection)s AND e.source_id = %(source)s
  AND e.state = 'pending' AND e.due_at <= clock_timestamp() AND (r.id IS NULL OR r.state <> 'running')

-- name: claim_events
-- those that no run has died with come first
WITH due AS (
    SELECT e.id, (r.state IS NOT DISTINCT FROM 'crashed')::int AS crashed
    FROM event e LEFT JOIN run r ON r.id = e.run_id
    WHERE e.tenant_id = %(tenant)s AND e.collection_id = %(collection)s AND e.source_id = %(source)s
      AND e.state = 'pending' AND e.due_at <= clock_timestamp() AND (r.id IS NULL OR r.state <> 'running')
    ORDER BY e.crashes + (r.state IS NOT DISTINCT FROM 'crashed')::int, e.id LIMIT %(most)s
    FOR UPDATE OF e SKIP LOCKED
)
UPDATE event e SET run_id = %(run)s, crashes = e.crashes + due.crashed
FROM due WHERE e.id = due.id AND e.tenant_id = %(tenant)s
RETURNING e.id, e.uri, e.action, e.crashes

-- name: settle_events
UPDATE event e SET state = 'applied', outcome = s.outcome, error = NULL, settled_at = clock_timestamp()
FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[]) AS s(id, outcome)
WHERE e.id = s.id AND e.tenant_id = %(tenant)s AND e.run_id = %(run)s AND e.state = 'pending'

-- name: give_back_events
-- what a run has taken, or, without a run, what none could take
UPDATE event e SET error = %(error)s,
    attempts = e.attempts + %(counts)s::int,
    due_at = clock_timestamp() + make_interval(secs => least(%(delay)s * 2.0 ^ least(e.attempts, 20), 600)),
    run_id = CASE WHEN tried.is_over THEN e.run_id END,
    state = CASE WHEN tried.is_over THEN 'failed' ELSE 'pending' END,
    settled_at = CASE WHEN tried.is_over THEN clock_timestamp() END
FROM (
    SELECT x.id, NOT %(retry)s OR x.attempts + %(counts)s::int >= coalesce(%(attempts)s::int, 2147483647) AS is_over
    FROM event x LEFT JOIN run r ON r.id = x.run_id
    WHERE x.tenant_id = %(tenant)s AND x.state = 'pending'
      AND CASE WHEN %(run)s::uuid IS NULL
          THEN x.source_id = %(source)s AND x.due_at <= clock_timestamp() AND (r.id IS NULL OR r.state <> 'running')
          ELSE x.run_id = %(run)s END
) AS tried
WHERE e.id = tried.id AND e.tenant_id = %(tenant)s
  AND (%(ids)s::bigint[] IS NULL OR e.id = ANY(%(ids)s::bigint[]))

-- name: retry_events
UPDATE event e SET state = 'pending', run_id = NULL, error = NULL, attempts = 0, crashes = 0, due_at = clock_timestamp(), settled_at = NULL
WHERE e.tenant_id = %(tenant)s AND e.collection_id = %(collection)s AND e.state = 'failed'

-- name: count_events
SELECT c.name, e.state, count(*), min(e.received_at)
FROM event e JOIN collection c ON c.id = e.collection_id
WHERE e.tenant_id = %(tenant)s
GROUP BY c.name, e.state ORDER BY c.name, e.state LIMIT 10000

-- name: count_settled
SELECT count(*) FROM event
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND settled_at >= %(since)s

-- name: count_pending
SELECT count(*) FROM event
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND state = 'pending'

-- name: count_failed
SELECT count(*) FROM event
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND state = 'failed'

-- name: list_events
SELECT d.received_at, d.sender, d.delivery, s.name, e.uri, e.action, e.state, e.outcome, e.error, e.attempts, e.run_id::text
FROM event e JOIN delivery d ON d.id = e.delivery_id JOIN source s ON s.id = e.source_id
WHERE e.tenant_id = %(tenant)s AND e.collection_id = %(collection)s
  AND (%(state)s::text IS NULL OR e.state = %(state)s)
ORDER BY e.id DESC LIMIT %(most)s

-- name: drop_old_deliveries
DELETE FROM delivery d
WHERE d.tenant_id = %(tenant)s AND d.collection_id = %(collection)s AND d.received_at < %(before)s
  AND NOT EXISTS (SELECT FROM event e WHERE e.delivery_id = d.id AND e.state = 'pending')

-- name: count_old_deliveries
SELECT count(*) FROM delivery d
WHERE d.tenant_id = %(tenant)s AND d.collection_id = %(collection)s AND d.received_at < %(before)s
  AND NOT EXISTS (SELECT FROM event e WHERE e.delivery_id = d.id AND e.state = 'pending')
