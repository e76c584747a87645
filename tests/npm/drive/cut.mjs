// A `fetch` whose first event stream breaks: after `frames` whole events and half of the next one.

export function cutOnce(frames, onCut) {
  let done = false;
  return async (input, init) => {
    const response = await fetch(input, init);
    const type = response.headers.get("content-type") ?? "";
    if (done || !type.startsWith("text/event-stream")) return response;
    done = true;
    return new Response(cut(response.body, frames, onCut), response);
  };
}

function cut(body, frames, onCut) {
  let left = frames;
  const decoder = new TextDecoder();
  return body.pipeThrough(
    new TransformStream({
      buffer: "",
      transform(bytes, controller) {
        this.buffer += decoder.decode(bytes, { stream: true });
        for (let end; (end = this.buffer.indexOf("\n\n")) !== -1; left--) {
          const frame = this.buffer.slice(0, end + 2);
          this.buffer = this.buffer.slice(end + 2);
          if (left === 0) return onCut(), breakOff(frame, controller);
          controller.enqueue(new TextEncoder().encode(frame));
        }
      },
    }),
  );
}

function breakOff(frame, controller) {
  controller.enqueue(new TextEncoder().encode(frame.slice(0, frame.length / 2)));
  controller.error(new TypeError("the network went away"));
}
