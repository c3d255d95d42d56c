// The counters of counters.py on node-opcua, which shares no code with the collector: the same command line, log and
// commands. NODE_PATH names the packages of tests/e2e/peer.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const { parseArgs } = require("node:util");
const { DataType, OPCUACertificateManager, OPCUAServer, StatusCodes, Variant, VariantArrayType } = require("node-opcua");

const HZ = 20;
const TAGS = [
  ["urn:field:a", "Counter.1"], ["urn:field:a", "Counter.2"], ["urn:field:b", "Counter.1"], ["urn:field:b", "Counter.2"],
];
const STEP = 10 ** 12;
const { values: options } = parseArgs({
  options: {
    port: { type: "string" }, log: { type: "string" }, shifted: { type: "boolean" }, history: { type: "boolean" },
  },
});
const nodes = new Map();
let server;
let held = false;

const microseconds = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
const say = (line) => fs.appendFileSync(options.log, JSON.stringify({ ...line, at: microseconds() }) + "\n");

function variantOf(value) {
  const whole = BigInt(value);
  return new Variant({ dataType: DataType.Int64, arrayType: VariantArrayType.Scalar, value: [Number(whole >> 32n), Number(whole & 0xffffffffn)] });
}

function add(tag) {
  const addressSpace = server.engine.addressSpace;
  const [uri, name] = TAGS[tag];
  const variable = addressSpace.registerNamespace(uri).addVariable({
    organizedBy: addressSpace.rootFolder.objects,
    browseName: name,
    nodeId: `s=${name}`,
    dataType: "Int64",
    minimumSamplingInterval: 0, // every change is told, none waits for a sampling timer
  });
  if (options.history) addressSpace.installHistoricalDataNode(variable, { maxOnlineValues: 100000 });
  nodes.set(tag, variable);
}

// Every tick once; those of a pause follow late with the time that was theirs.
let done = Math.floor((Date.now() * HZ) / 1000);
function tick() {
  const due = Math.floor((Date.now() * HZ) / 1000);
  for (let number = done + 1; number <= due; number++) {
    if (held) continue;
    const tags = [...nodes.keys()].sort();
    say({ tick: number, tags });
    for (const tag of tags) {
      const at = new Date((number * 1000) / HZ);
      nodes.get(tag).setValueFromSource(variantOf((tag + 1) * STEP + number), StatusCodes.Good, at);
    }
  }
  done = due;
}

const sessions = () => Object.values(server.engine._sessions);

// Subscriptions as they come up, change hands, and go on over another connection.
const owners = new Map();
function watch() {
  for (const session of sessions()) {
    for (const subscription of session.publishEngine.subscriptions) {
      const known = owners.get(subscription);
      if (known === undefined) {
        subscription.on("monitoredItem", () => say({ event: "monitored", count: 1, subscriptions: total() }));
        if (subscription.monitoredItemCount)
          say({ event: "monitored", count: subscription.monitoredItemCount, subscriptions: total() });
      } else if (known.session !== session) {
        say({ event: "transferred", count: 1, subscriptions: total() });
      } else if (session.channelId && known.channel !== session.channelId) {
        say({ event: "resumed", count: 1, subscriptions: total() });
      }
      owners.set(subscription, { session, channel: session.channelId || known?.channel });
    }
  }
}
const total = () => sessions().reduce((sum, session) => sum + session.publishEngine.subscriptions.length, 0);

const commands = {
  hold() {
    held = true;
  },
  delete(tag) {
    const variable = nodes.get(Number(tag));
    nodes.delete(Number(tag));
    server.engine.addressSpace.deleteNode(variable);
  },
  add(tag) {
    add(Number(tag));
  },
  expire() {
    for (const session of sessions()) server.engine.closeSession(session.authenticationToken, true, "Timeout");
  },
};

async function main() {
  const store = (name) => new OPCUACertificateManager({ rootFolder: `${options.log}.${name}` });
  server = new OPCUAServer({
    port: Number(options.port),
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    securityModes: [1],
    securityPolicies: ["http://opcfoundation.org/UA/SecurityPolicy#None"],
    serverCertificateManager: store("pki"),
    userCertificateManager: store("users"),
    serverCapabilities: { maxSessions: 50, minSupportedSampleRate: 0 },
  });
  await server.initialize();
  const uris = [...new Set(TAGS.map(([uri]) => uri))];
  if (options.shifted) uris.reverse();
  for (const uri of uris) server.engine.addressSpace.registerNamespace(uri);
  for (let tag = 0; tag < TAGS.length; tag++) add(tag);
  done = Math.floor((Date.now() * HZ) / 1000);
  tick();
  await server.start();
  say({ event: "started", namespaces: server.engine.addressSpace.getNamespaceArray().map((n) => n.namespaceUri) });
  setInterval(tick, 10);
  setInterval(watch, 10);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...given] = line.split(" ");
    if (command === "stop") break;
    commands[command](...given);
    say({ event: command, done: given });
  }
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
