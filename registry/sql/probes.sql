-- name: find_probe
-- of the texts or images that are asked for before others; of the space itself before that of another one whose
-- vectors are the same, stored another way
SELECT p.space_id, p.probes, p.vectors, s.dim
FROM embedding_space mine
JOIN embedding_space s
  ON (s.modality, s.provider, s.model, s.revision, s.dim, s.normalised, s.document_prompt, s.query_prompt)
   = (mine.modality, mine.provider, mine.model, mine.revision, mine.dim, mine.normalised,
      mine.document_prompt, mine.query_prompt)
JOIN space_probe p ON p.space_id = s.id
WHERE mine.id = %(space)s
ORDER BY p.probes <> %(probes)s, s.id <> mine.id, p.made_at, s.id LIMIT 1

-- name: keep_probe
INSERT INTO space_probe (space_id, probes, vectors) VALUES (%(space)s, %(probes)s, %(vectors)s)
ON CONFLICT (space_id, probes) DO NOTHING
