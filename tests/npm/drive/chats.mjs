// Chats as `useChat` keeps them: `Chat` of @ai-sdk/react is the state behind the hook.

import { Chat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import * as ai from "ai";
import { describe } from "./rpc.mjs";
import { makeTransport, tap } from "./transports.mjs";
import { Changes } from "./waiting.mjs";

const chats = new Map();

// `continueAfterTools` sends by itself once every tool call is answered, as apps with tools of their own do.
export function open({ name, id, kind, messages, continueAfterTools, ...params }) {
  const it = { changes: new Changes(), chunks: [], events: [], data: [], cuts: 0 };
  const noteEvent = (event) => it.events.push(plainEvent(event)) && it.changes.notify();
  it.transport = makeTransport(kind, { ...params, onEvent: noteEvent, onCut: () => it.cuts++ });
  it.chat = new Chat({
    id,
    messages,
    transport: tap(it.transport, (chunk) => it.chunks.push(chunk)),
    onData: (part) => it.data.push(part),
    ...(continueAfterTools ? { sendAutomaticallyWhen: answered } : {}),
  });
  it.chat["~registerMessagesCallback"](() => it.changes.notify());
  it.chat["~registerStatusCallback"](() => it.changes.notify());
  it.chat["~registerErrorCallback"](() => it.changes.notify());
  chats.set(name, it);
  return state({ name });
}

function answered({ messages }) {
  return (
    lastAssistantMessageIsCompleteWithToolCalls({ messages }) ||
    // since version 6
    (ai.lastAssistantMessageIsCompleteWithApprovalResponses?.({ messages }) ?? false)
  );
}

function plainEvent({ error, ...event }) {
  return error === undefined ? event : { ...event, error: describe(error) };
}

export function state({ name }) {
  const { chat, transport, chunks, events, data, cuts } = chats.get(name);
  return {
    id: chat.id,
    messages: chat.messages,
    status: chat.status,
    error: chat.error === undefined ? null : describe(chat.error),
    session: transport.getSession?.(chat.id) ?? null,
    chunks,
    events,
    data,
    cuts,
  };
}

// What a person does with a chat; each returns when the answer has ended, with the chat's state.

export async function send({ name, text, message, options }) {
  await chats.get(name).chat.sendMessage(message ?? { text }, options);
  return state({ name });
}

// What `useChatActions` does: an action through `useChat`, without a message.
export async function sendAction({ name, action }) {
  await chats.get(name).chat.sendMessage(undefined, { body: { action } });
  return state({ name });
}

export async function regenerate({ name, messageId }) {
  await chats.get(name).chat.regenerate(messageId === undefined ? {} : { messageId });
  return state({ name });
}

export async function resume({ name }) {
  await chats.get(name).chat.resumeStream();
  return state({ name });
}

// Resumes as a page does that is closed once it has seen `text`; returns what it has seen.
export async function resumeAndLeave({ name, text }) {
  const { chat, transport } = chats.get(name);
  const leaving = new AbortController();
  const stream = await transport.reconnectToStream({ chatId: chat.id, abortSignal: leaving.signal });
  let seen = "";
  for await (const chunk of stream) {
    if (chunk.type === "text-delta") seen += chunk.delta;
    if (seen.includes(text)) break;
  }
  leaving.abort();
  return seen;
}

export async function stop({ name }) {
  await chats.get(name).chat.stop();
  return state({ name });
}

export async function answerTool({ name, tool, toolCallId, output }) {
  const { chat } = chats.get(name);
  await chat.addToolOutput({ tool, toolCallId, output });
  return state({ name });
}

export async function answerApproval({ name, id, approved, reason }) {
  await chats.get(name).chat.addToolApprovalResponse({ id, approved, reason });
  return state({ name });
}

// Waits until the last message is an answer whose text contains `text`.
export async function sees({ name, text }) {
  const { chat, changes } = chats.get(name);
  const answer = () => {
    const last = chat.messages.at(-1);
    return last?.role === "assistant" ? textOf(last) : "";
  };
  await changes.until(() => answer().includes(text), () => chat.error);
  return state({ name });
}

// Waits until the transport has told its `onEvent` of an event of this type; returns the event.
export async function told({ name, type }) {
  const { events, changes } = chats.get(name);
  const found = () => events.find((event) => event.type === type);
  await changes.until(() => found() !== undefined);
  return found();
}

// Waits until the chat has this status.
export async function becomes({ name, status }) {
  const { chat, changes } = chats.get(name);
  await changes.until(() => chat.status === status);
  return state({ name });
}

// Waits until the chat is at rest and its last message is an answer of more than `parts` parts.
export async function grows({ name, parts }) {
  const { chat, changes } = chats.get(name);
  const grown = () => chat.messages.at(-1)?.role === "assistant" && chat.messages.at(-1).parts.length > parts;
  await changes.until(() => grown() && chat.status === "ready", () => chat.error);
  return state({ name });
}

function textOf(message) {
  return message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

// The stop route of chatrun's `/api/chat`, which stops an answer that goes on without its reader.
export async function stopOnServer({ name }) {
  const { chat, transport } = chats.get(name);
  const url = `${transport.api}/${encodeURIComponent(chat.id)}/stop`;
  const response = await fetch(url, { method: "POST", headers: await transport.headers() });
  return response.status;
}

// What Trigger.dev's transport can do beside `useChat`.

export async function preload({ name }) {
  const { chat, transport } = chats.get(name);
  await transport.preload(chat.id);
  return state({ name });
}

export async function stopGeneration({ name }) {
  const { chat, transport } = chats.get(name);
  return transport.stopGeneration(chat.id);
}

export async function steer({ name, message }) {
  const { chat, transport } = chats.get(name);
  return transport.sendPendingMessage(chat.id, message);
}

// An action and every chunk of its answer.
export async function act({ name, action }) {
  const { chat, transport } = chats.get(name);
  let settled = null;
  const stream = await transport.sendAction(chat.id, action, { onSettled: (result) => (settled = result) });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, settled };
}
