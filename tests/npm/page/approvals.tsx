// Tools that wait for the user: ?transport=trigger|default. What is answered is sent when nothing is left
// to be answered, as the AI SDK's own helpers tell; with ?each=1 every answer is sent by itself.

import { useChat } from "@ai-sdk/react";
import { useTriggerChatTransport } from "@trigger.dev/sdk/chat/react";
import * as ai from "ai";
import { action, ChatView, render } from "./chat";

const query = new URLSearchParams(location.search);
const getChatToken = () => action("getChatToken");

const defaultTransport = new ai.DefaultChatTransport({
  api: `${app.baseURL}/api/chat/${app.task}`,
  headers: async () => ({ authorization: `Bearer ${await getChatToken()}` }),
});

// a name that version 5 does not have reads as undefined
function isComplete(options) {
  return (
    ai.lastAssistantMessageIsCompleteWithApprovalResponses?.(options) ||
    ai.lastAssistantMessageIsCompleteWithToolCalls(options)
  );
}

function Call({ part, answer }) {
  const { toolCallId, state, approval } = part;
  const name = ai.getToolName?.(part) ?? part.type.slice("tool-".length);
  return (
    <li>
      {toolCallId} {name}: {state} {part.output ?? part.errorText}
      {state === "approval-requested" && (
        <>
          <button onClick={() => answer.approval({ id: approval.id, approved: true })}>Approve {toolCallId}</button>
          <button onClick={() => answer.approval({ id: approval.id, approved: false, reason: "Not today." })}>
            Deny {toolCallId}
          </button>
        </>
      )}
      {state === "input-available" && name === "ask" && (
        <button onClick={() => answer.call({ tool: name, toolCallId, output: `blue ${part.input.number}` })}>
          Answer {toolCallId}
        </button>
      )}
    </li>
  );
}

function Chat({ transport }) {
  const each = query.has("each");
  const chat = useChat({ transport, sendAutomaticallyWhen: each ? undefined : isComplete });
  const sent = (given) => async (params) => {
    await given(params);
    if (each) await chat.sendMessage();
  };
  const answer = { approval: sent(chat.addToolApprovalResponse), call: sent(chat.addToolOutput) };
  const calls = chat.messages.flatMap(({ parts }) => parts.filter((part) => part.toolCallId !== undefined));
  return (
    <>
      <ChatView {...chat} />
      <ul>{calls.map((part) => <Call key={part.toolCallId} part={part} answer={answer} />)}</ul>
    </>
  );
}

function TriggerChat() {
  const { task, baseURL } = app;
  return <Chat transport={useTriggerChatTransport({ task, accessToken: getChatToken, baseURL })} />;
}

render(query.get("transport") === "trigger" ? <TriggerChat /> : <Chat transport={defaultTransport} />);
