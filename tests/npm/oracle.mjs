// Answers jobs with the real `ai` package: one JSON object a line in, one a line out, in order.
// A job names its `kind`, the major of the AI SDK (`sdk`) and what the kind needs.

import { createInterface } from "node:readline";
import * as ai6 from "ai6";
import * as test6 from "ai6/test";
import * as ai7 from "ai7";
import * as test7 from "ai7/test";

globalThis.AI_SDK_LOG_WARNINGS = false;

const SDKS = { 6: ai6, 7: ai7 };

const streamOf = (chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

// An `error` chunk is reported too, but processing goes on behind it.
const isBreak = (error) => error?.name === "AI_UIMessageStreamError";

const KINDS = {
  // What a page shows after each chunk that makes it draw.
  async read({ sdk, message, chunks }) {
    let broke = false;
    const snapshots = [];
    const stream = SDKS[sdk].readUIMessageStream({
      message: message ?? undefined,
      stream: streamOf(chunks),
      onError: (error) => (broke ||= isBreak(error)),
    });
    for await (const snapshot of stream) snapshots.push(snapshot);
    return { snapshots, broke };
  },

  // What a server of the original keeps at the end.
  async respond({ sdk, messages, chunks }) {
    let kept = {};
    const stream = SDKS[sdk].createUIMessageStream({
      onError: () => "failed",
      originalMessages: messages,
      generateId: () => "new",
      execute: ({ writer }) => chunks.forEach((chunk) => writer.write(chunk)),
      onFinish: ({ responseMessage, finishReason }) => (kept = { responseMessage, finishReason }),
    });
    try {
      for await (const _ of stream);
    } catch (error) {
      if (!isBreak(error)) throw error;
      return { broke: true };
    }
    return { ...kept, broke: false };
  },

  async convert({ sdk, messages, ignoreIncompleteToolCalls, toolOutputs }) {
    const tools = Object.fromEntries(
      toolOutputs.map((name) => [
        name,
        {
          toModelOutput: ({ toolCallId, input = null, output = null }) => ({
            type: "json",
            value: { toolCallId, input, output },
          }),
        },
      ]),
    );
    const options = { tools, ignoreIncompleteToolCalls };
    try {
      return { messages: await SDKS[sdk].convertToModelMessages(messages, options) };
    } catch (error) {
      return { error: String(error) };
    }
  },

  async validate({ sdk, messages }) {
    return { valid: (await SDKS[sdk].safeValidateUIMessages({ messages })).success };
  },

  async partial({ sdk, text }) {
    const { value = null, state } = await SDKS[sdk].parsePartialJson(text);
    return { value, state };
  },

  // Whether a client takes the chunk from the wire.
  async check({ sdk, chunk }) {
    return { accepted: (await SDKS[sdk].uiMessageChunkSchema().validate(chunk)).success };
  },

  // What the original says to model messages before it calls a model with them.
  async generate({ sdk, messages }) {
    const Model = sdk === 6 ? test6.MockLanguageModelV3 : test7.MockLanguageModelV4;
    let prompt = null;
    const model = new Model({
      doGenerate: async (options) => {
        prompt = options.prompt;
        throw new Error("asked");
      },
    });
    try {
      await SDKS[sdk].generateText({ model, messages, allowSystemInMessages: true, maxRetries: 0 });
    } catch (error) {
      return prompt ? {} : { error: String(error) };
    }
  },
};

process.emitWarning = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await KINDS[job.kind](job))}\n`);
}
