// The three steps of Trigger.dev's quick start: a task, a token and this component.

import { useChat } from "@ai-sdk/react";
import { useTriggerChatTransport } from "@trigger.dev/sdk/chat/react";
import { action, ChatView, render } from "./chat";

const getChatToken = () => action("getChatToken");

function Chat() {
  const { task, baseURL } = app;
  const transport = useTriggerChatTransport({ task, accessToken: getChatToken, baseURL });
  const { messages, sendMessage, regenerate, stop, status, error } = useChat({ transport });
  return <ChatView {...{ messages, sendMessage, regenerate, stop, status, error }} />;
}

render(<Chat />);
