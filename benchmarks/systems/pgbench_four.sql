\set step :step + 1
\set number :client_id * :per_client + (:step - 1) / :steps
\set at (:step - 1) % :steps + 1
BEGIN;
UPDATE executions_execution SET version = version + 1, last_sequence = :at::int + 1, updated_at = now() WHERE id = ('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid;
INSERT INTO documents_documentversion (document_id, version, title, content, schema_id, execution_id, step_id, provenance, created_at) VALUES (('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid, :at::int, 'T', json_build_object('title', 'T', 'text', :payload::text), '0', ('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid, 's' || :at::text, '{}', now());
INSERT INTO executions_executionevent (execution_id, sequence, scope_id, scope_sequence, event_type, step_id, data, timestamp) VALUES (('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid, :at::int + 1, ('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid, :at::int + 1, 'step_completed', 's' || :at::text, '{"document_version": 1}', now());
INSERT INTO telemetry_modelcall (id, execution_id, step_id, attempt, kind, ordinal, workflow_id, scope_id, status, version, requested_model, request_hash, provider, model, provider_request_id, reply, input_tokens, cache_read_input_tokens, cache_write_input_tokens, output_tokens, reasoning_tokens, error, started_at, finished_at) VALUES (gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid, 's' || :at::text, 1, 'generate', 1, 'line', :scope::text::uuid, 'committed', 1, 'scripted/writer', repeat('0', 64), 'scripted', 'writer', '', json_build_object('title', 'T', 'text', :payload::text), 100, 0, 0, 100, 0, '', now(), now());
COMMIT;
