// The hooks beside useChat: steering with usePendingMessages, actions with useChatActions. ?chat=ID names the chat.

import { useChat } from "@ai-sdk/react";
import { useChatActions, usePendingMessages, useTriggerChatTransport } from "@trigger.dev/sdk/chat/react";
import { action, ChatView, render } from "./chat";

const chatId = new URLSearchParams(location.search).get("chat");

function Page() {
  const transport = useTriggerChatTransport({
    task: app.task,
    baseURL: app.baseURL,
    accessToken: (params) => action("getSessionToken", params),
    startSession: (params) => action("startSession", params),
  });
  const chat = useChat({ id: chatId, transport });
  const pending = usePendingMessages({ transport, chatId, ...chat });
  const { sendAction } = useChatActions(chat);
  const points = chat.messages.flatMap(({ parts }) => parts.filter(pending.isInjectionPoint));
  return (
    <>
      <ChatView {...chat} />
      <button onClick={() => pending.steer("hurry")}>Steer</button>
      <button onClick={() => sendAction({ type: "undo" })}>Undo</button>
      <ul>{pending.pending.map(({ id, mode, text }) => <li key={id}>{`${mode}: ${text}`}</li>)}</ul>
      {points.map((part, index) => (
        <mark key={index}>{pending.getInjectedMessages(part).map(({ text }) => text).join(" ")}</mark>
      ))}
    </>
  );
}

render(<Page />);
