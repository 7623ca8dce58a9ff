// The module that browsers follow streams with: its parser, its drafts, and how it comes back. Run by test_module.py.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";

const { Drafts, Parser, follow } = await import(process.env.MODULE); // a copy whose name tells Node.js what it is

const stored = (id, type = "step_completed", step_id = "draft") =>
  `event: ${type}\nid: ${id}\ndata: ${JSON.stringify({ event_type: type, execution_id: "e", step_id, sequence: id })}\n\n`;
const delta = (offset, text, attempt = 1) => ({ execution_id: "e", step_id: "draft", data: { attempt, offset, text } });

test("the parser gives the same messages however the text is cut, and with every kind of line end", () => {
  const text = 'retry: 7\nid: 5\n\n: keep-alive\n\nevent: a\nid: 6\ndata: one\ndata:  two\u2028\n\ndata\n\nevent: cut off\ndata: x\n';
  const wanted = [
    { event: "message", data: null, id: "5" }, { event: "message", data: null, id: "5" },
    { event: "a", data: "one\n two\u2028", id: "6" }, { event: "message", data: "", id: "6" }];
  for (const end of ["\n", "\r\n", "\r"]) {
    const sent = text.replaceAll("\n", end);
    for (let size = 1; size <= sent.length; size += 1) {
      const parser = new Parser();
      const found = [];
      for (let at = 0; at < sent.length; at += size) found.push(...parser.push(sent.slice(at, at + size)));
      assert.deepEqual(found, wanted);
      assert.equal(parser.retry, 7);
    }
  }
});

test("an id with a NUL and a retry that is no number change nothing", () => {
  const parser = new Parser();
  assert.deepEqual(parser.push("id: 1\nid: 2\0\nretry: 1s\ndata: x\n\n"), [{ event: "message", data: "x", id: "1" }]);
  assert.equal(parser.retry, null);
});

test("drafts are put together by offsets in code points, cut, and begun anew", () => {
  const drafts = new Drafts();
  const text = (...told) => drafts.take(delta(...told))?.text ?? null;
  assert.equal(text(0, "a😀"), "a😀");
  assert.equal(text(3, "x"), null);
  assert.equal(text(2, "b"), "a😀b"); // two code points, three units of JavaScript
  assert.equal(text(2, "c"), "a😀c"); // a smaller offset cuts
  assert.equal(text(9, "x"), null); // something is missing before it
  assert.equal(text(0, "a😀c"), null); // the text so far, after a reconnect
  assert.equal(text(3, "d"), "a😀cd");
  assert.equal(text(4, "x", 2), null); // of an attempt whose beginning is not known
  assert.equal(text(0, "new", 2), "new");
  assert.equal(text(4, "x", 1), null);
});

test("the end of a step or of the execution ends its drafts", () => {
  for (const event_type of ["step_completed", "step_failed", "step_cancelled", "step_skipped", "complete"]) {
    const drafts = new Drafts();
    drafts.take(delta(0, "text"));
    drafts.told({ event_type, execution_id: "other", step_id: "draft" });
    assert.notEqual(drafts.take(delta(4, "!")), null);
    drafts.told({ event_type, execution_id: "e", step_id: event_type === "complete" ? null : "draft" });
    assert.equal(drafts.take(delta(5, "?")), null, event_type);
  }
});

// A server that gives each request the next answer, and keeps what was asked.
const servers = [];
after(() => servers.forEach((server) => { server.closeAllConnections(); server.close(); }));
async function answering(...answers) {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url, bearer: request.headers.authorization, at: Date.now() });
    const { status = 200, headers = {}, body = "", stays = false } = answers.shift() ?? { status: 204 };
    response.writeHead(status, { "Content-Type": status === 200 ? "text/event-stream" : "application/problem+json", ...headers });
    response.write(body);
    if (!stays) response.end();
  });
  servers.push(server);
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return { asked, url: (path) => `http://127.0.0.1:${server.address().port}/api/v1${path}` };
}

// Follows until the end; returns all that was told.
const followed = (url, options = {}) => new Promise((done) => {
  const told = { events: [], states: [], drafts: [], resets: [], problems: [] };
  const stream = follow(url, {
    onEvent: (event, id) => told.events.push([id, event.event_type]),
    onReset: (event, id) => told.resets.push([id, event.data.oldest]),
    onDelta: (draft) => told.drafts.push(draft.text),
    onError: (problem, { final }) => told.problems.push([problem.detail, final]),
    onState: (state, why) => { told.states.push(why ?? state); if (state === "closed") done({ ...told, stream }); },
    ...options,
  });
});

test("events that are repeated are told once, and a mid-log complete is not the end", async () => {
  const { asked, url } = await answering(
    { body: `retry: 20\n\n${stored(1)}${stored(2, "complete", null)}` },
    { body: stored(1) + stored(2, "complete", null) + stored(3, "execution_retried", null) },
    { body: stored(3, "execution_retried", null) + stored(4, "complete", null) });
  const { events, states } = await followed(url("/executions/e/stream"), { types: ["complete", "step_completed"] });
  assert.deepEqual(events.map(([id]) => id), ["1", "2", "3", "4"]);
  assert.deepEqual(asked.map((each) => new URL(each.url, "http://x").searchParams.get("last_event_id")), [null, "2", "3", "4"]);
  assert.match(asked[0].url, /types=complete%2Cstep_completed/);
  assert.equal(states.at(-1), "ended");
});

test("a feed goes on from where it began, though nothing had happened", async () => {
  const { asked, url } = await answering({ body: "retry: 20\nid: 57\n\n" }, { body: "retry: 500\n\n" + stored(58, "complete", null) });
  const { events } = await followed(url("/scopes/project/p/stream"));
  assert.deepEqual(events, [["58", "complete"]]);
  assert.deepEqual(asked.map((each) => each.url.split("?")[1]), [undefined, "last_event_id=57", "last_event_id=58"]);
  assert.ok(asked[2].at - asked[1].at >= 500); // the end of one execution is not the end of the feed
});

test("a reset is told, and the stream goes on after it", async () => {
  const reset = `event: stream-reset\nid: 119\ndata: {"event_type":"stream-reset","execution_id":"e","data":{"oldest":120,"asked":3}}\n\n`;
  const { url } = await answering({ body: reset + stored(120) });
  const { resets, events } = await followed(url("/executions/e/stream"), { lastId: "3" });
  assert.deepEqual([resets, events], [[["119", 120]], [["120", "step_completed"]]]);
});

test("drafts come whole, and a delta moves no id", async () => {
  const sent = (...told) => `event: step_delta\ndata: ${JSON.stringify(delta(...told))}\n\n`;
  const { asked, url } = await answering({ body: `retry: 20\n\n${stored(1, "step_started")}${sent(0, "a")}${sent(1, "b")}` },
    { body: sent(0, "ab") + sent(2, "c") });
  const { drafts } = await followed(url("/executions/e/stream"));
  assert.deepEqual(drafts, ["a", "ab", "abc"]);
  assert.match(asked[1].url, /last_event_id=1$/);
});

test("a refusal that passes is waited for as long as the server says, and one that does not is the end", async () => {
  const { asked, url } = await answering(
    { body: "retry: 20\n\n" }, { status: 429, headers: { "Retry-After": "1" }, body: '{"status":429,"detail":"too many"}' },
    { status: 404, body: '{"status":404,"detail":"not there"}' });
  const { problems, stream, states } = await followed(url("/executions/e/stream"), { token: "t" });
  assert.ok(asked[2].at - asked[1].at >= 1000 && stream.state === "closed");
  assert.deepEqual(problems, [["too many", false], ["not there", true]]);
  assert.deepEqual([asked[0].bearer, states.at(-1)], ["Bearer t", "refused"]);
});

test("a ticket that has expired is got anew, once", async () => {
  const refusal = { status: 401, body: '{"status":401,"detail":"who?"}' };
  const { asked, url } = await answering({ body: `retry: 20\n\n${stored(1)}` }, refusal, { body: stored(2) }, refusal, refusal);
  let tickets = 0;
  const { events, problems } = await followed(url("/executions/e/stream"), { ticket: async () => `t${(tickets += 1)}` });
  assert.deepEqual(events.map(([id]) => id), ["1", "2"]);
  assert.deepEqual(problems.map(([, final]) => final), [false, false, true]);
  assert.deepEqual(asked.map((each) => /ticket=(t\d)/.exec(each.url)[1]), ["t1", "t2", "t3", "t4", "t5"]);
});

test("who closes it hears nothing more", async () => {
  const { url } = await answering({ body: stored(1) + stored(2), stays: true });
  const seen = [];
  await new Promise((closed) => {
    const stream = follow(url("/executions/e/stream"), {
      onEvent: (_, id) => { seen.push(id); stream.close(); },
      onState: (state, why) => { seen.push(why ?? state); if (state === "closed") setTimeout(closed, 100); },
    });
  });
  assert.deepEqual(seen, ["open", "1", "left"]);
});

test("a callback that throws stops nothing", async () => {
  const thrown = [];
  globalThis.reportError = (error) => thrown.push(error.message); // as browsers have it
  const { url } = await answering({ body: stored(1) + stored(2) });
  const ids = [];
  await followed(url("/executions/e/stream"), { onEvent: (_, id) => { ids.push(id); throw new Error(id); } });
  delete globalThis.reportError;
  assert.deepEqual([ids, thrown], [["1", "2"], ["1", "2"]]);
});
