// A chat that outlives a reload: ?chat=ID names it, the browser keeps the transport's state.

import { useChat } from "@ai-sdk/react";
import { useLoadTranscript, useTriggerChatTransport } from "@trigger.dev/sdk/chat/react";
import { action, ChatView, render } from "./chat";

const chatId = new URLSearchParams(location.search).get("chat");
const loadTranscript = (params) => action("loadTranscript", params);

function remember(id, session) {
  localStorage.setItem(id, JSON.stringify(session));
}

function remembered() {
  const session = JSON.parse(localStorage.getItem(chatId));
  return session ? { [chatId]: session } : {};
}

function Page() {
  const transport = useTriggerChatTransport({
    task: app.task,
    baseURL: app.baseURL,
    accessToken: (params) => action("getSessionToken", params),
    startSession: (params) => action("startSession", params),
    sessions: remembered(),
    onSessionChange: remember,
  });
  const { messages, isLoading } = useLoadTranscript(chatId, loadTranscript, { transport });
  return isLoading ? null : <Chat transport={transport} initial={messages} />;
}

function Chat({ transport, initial }) {
  const chat = useChat({ id: chatId, messages: initial, transport, resume: true });
  return <ChatView {...chat} />;
}

render(<Page />);
