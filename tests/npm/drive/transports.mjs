// The published transports, made the way an app makes them, plus a tap on the chunks they yield.

import { chat as backend } from "@trigger.dev/sdk/ai";
import { auth } from "@trigger.dev/sdk";
import { TriggerChatTransport } from "@trigger.dev/sdk/chat";
import { DefaultChatTransport, TextStreamChatTransport } from "ai";
import { cutOnce } from "./cut.mjs";
import { server } from "./server.mjs";

export function makeTransport(kind, params) {
  switch (kind) {
    case "trigger":
      return triggerTransport(params);
    case "default":
      return new DefaultChatTransport(httpOptions("chat", params));
    case "text":
      return new TextStreamChatTransport(httpOptions("text", params));
    default:
      throw new Error(`no transport is called ${kind}`);
  }
}

// `access` says what the app's server hands out: "task" is the quick start's single token, "session"
// starts the session first and hands out tokens for it alone, anything else is a token to use as it is.
function triggerTransport({ task, access, cutAfter, onCut, onEvent, ...options }) {
  const starts = { startSession: backend.createStartSessionAction(task) };
  const tokens = {
    task: { accessToken: () => backend.createAccessToken(task) },
    session: { accessToken: ({ chatId }) => sessionToken(chatId), ...starts },
  };
  return new TriggerChatTransport({
    task,
    baseURL: server.url,
    onEvent,
    ...(tokens[access] ?? { accessToken: async () => access }),
    ...(cutAfter === undefined ? {} : { fetch: cutOnce(cutAfter, onCut) }),
    ...options,
  });
}

export function sessionToken(chatId) {
  const scopes = { read: { sessions: chatId }, write: { sessions: chatId } };
  return auth.createPublicToken({ scopes });
}

function httpOptions(route, { task, access }) {
  const headers = async () => ({
    authorization: `Bearer ${access === "task" ? await backend.createAccessToken(task) : access}`,
  });
  return { api: `${server.url}/api/${route}/${encodeURIComponent(task)}`, headers };
}

// A transport that does what `transport` does and shows every chunk to `see`.
export function tap(transport, see) {
  const seen = (stream) =>
    stream?.pipeThrough(
      new TransformStream({
        transform(chunk, controller) {
          see(chunk);
          controller.enqueue(chunk);
        },
      }),
    ) ?? null;
  return {
    sendMessages: async (options) => seen(await transport.sendMessages(options)),
    reconnectToStream: async (options) => seen(await transport.reconnectToStream(options)),
  };
}
