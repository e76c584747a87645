// AgentChat: a task as another program's server talks to it.

import { AgentChat } from "@trigger.dev/sdk/chat";
import { server } from "./server.mjs";
import { Changes } from "./waiting.mjs";

const agents = new Map();

export function open({ name, ...options }) {
  const it = { changes: new Changes(), text: "", triggered: [], completed: [] };
  it.chat = new AgentChat({
    baseURL: server.url,
    onTriggered: (event) => void it.triggered.push(event),
    onTurnComplete: (event) => void it.completed.push(event),
    ...options,
  });
  agents.set(name, it);
  return state({ name });
}

export function state({ name }) {
  const { chat, triggered, completed } = agents.get(name);
  return { id: chat.id, session: chat.session, triggered, completed };
}

export async function send({ name, text }) {
  const it = agents.get(name);
  return collect(name, it, await it.chat.sendMessage(text));
}

export async function act({ name, action }) {
  const it = agents.get(name);
  return collect(name, it, await it.chat.sendAction(action));
}

export async function reconnect({ name }) {
  const it = agents.get(name);
  return collect(name, it, await it.chat.reconnect());
}

async function collect(name, it, stream) {
  const chunks = [];
  it.text = "";
  for await (const chunk of stream) {
    chunks.push(chunk);
    if (chunk.type === "text-delta") it.text += chunk.delta;
    it.changes.notify();
  }
  return { ...state({ name }), text: it.text, chunks };
}

// Waits until the answer that is being read contains `text`.
export async function sees({ name, text }) {
  const it = agents.get(name);
  await it.changes.until(() => it.text.includes(text));
  return it.text;
}

export async function preload({ name }) {
  await agents.get(name).chat.preload();
  return state({ name });
}

export function steer({ name, text }) {
  return agents.get(name).chat.steer(text);
}

export async function stop({ name }) {
  await agents.get(name).chat.stop();
}

export function close({ name }) {
  return agents.get(name).chat.close();
}
