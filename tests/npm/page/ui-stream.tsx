// The AI SDK's own transport; ?chat=ID names the chat, which is resumed after a reload.

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { action, ChatView, render } from "./chat";

const id = new URLSearchParams(location.search).get("chat");

const transport = new DefaultChatTransport({
  api: `${app.baseURL}/api/chat/${app.task}`,
  headers: async () => ({ authorization: `Bearer ${await action("getChatToken")}` }),
});

function Chat() {
  const messages = JSON.parse(localStorage.getItem(id) ?? "[]");
  const chat = useChat({ id, transport, messages, resume: true });
  localStorage.setItem(id, JSON.stringify(chat.messages));
  return <ChatView {...chat} />;
}

render(<Chat />);
