// Trigger.dev's SDK as an app's own server uses it: with the secret key.

import { auth, sessions } from "@trigger.dev/sdk";
import { chat, defaultStorage } from "@trigger.dev/sdk/ai";

export { connect } from "./server.mjs";

const roots = { auth, chat, sessions };

// Calls `sessions.retrieve` and the like by name.
export function call({ path, args }) {
  const [root, name] = path.split(".");
  return roots[root][name](...args);
}

// The sessions of every page, in the order in which `for await` yields them.
export async function list({ options }) {
  const all = [];
  for await (const session of sessions.list(options)) all.push(session);
  return all;
}

export function startSession({ task, options, params }) {
  return chat.createStartSessionAction(task, options ?? {})(params);
}

export function loadTranscript({ chatId, limit, before }) {
  return chat.createLoadTranscriptAction(defaultStorage, { limit })({ chatId, before });
}

// One record into a session's input channel.
export function send({ session, value }) {
  return sessions.open(session).in.send(value);
}

// The chunks and control records on a session's output channel behind `lastEventId`, up to and including the
// `turns`th turn-complete.
export async function read({ session, lastEventId, turns }) {
  const [chunks, controls] = [[], []];
  const finished = new AbortController();
  const stream = await sessions.open(session).out.read({
    lastEventId,
    signal: finished.signal,
    onControl: (control) => {
      controls.push(control);
      if (controls.filter(({ subtype }) => subtype === "turn-complete").length === turns) finished.abort();
    },
  });
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (error) {
    if (!finished.signal.aborted) throw error;
  }
  return { chunks, controls };
}
