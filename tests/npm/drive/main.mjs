// The published clients, driven from Python: see tests/support/node.py.

import * as agents from "./agents.mjs";
import * as chats from "./chats.mjs";
import { serve } from "./rpc.mjs";
import * as sdk from "./sdk.mjs";
import * as site from "./site.mjs";

const methods = {};
for (const [prefix, part] of Object.entries({ agent: agents, chat: chats, sdk, site })) {
  for (const [name, method] of Object.entries(part)) {
    methods[`${prefix}.${name}`] = method;
  }
}

serve(methods);
