// The replica set and its users, made the first time; run again it changes nothing. By mongosh, on mongo-1's own machine.
const admin = db.getSiblingDB("admin");

function tolerating(codes, act) {
  try {
    return act();
  } catch (error) {
    if (!codes.includes(error.code)) throw error;
  }
}

const ALREADY_INITIALIZED = 23, UNAUTHORIZED = 13, ALREADY_A_USER = 51003;

// Once there are users, this is no stranger's business any more: then it was done before.
tolerating([ALREADY_INITIALIZED, UNAUTHORIZED], () =>
  admin.runCommand({
    replSetInitiate: {
      _id: "caas",
      members: [1, 2, 3].map((n) => ({ _id: n - 1, host: `mongo-${n}:27017`, priority: n === 1 ? 2 : 1 })),
      settings: { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 500 },
    },
  }),
);

// mongo-1 has the highest priority: it becomes the primary, and only there may the first user be made.
while (!db.hello().isWritablePrimary) sleep(200);

tolerating([ALREADY_A_USER, UNAUTHORIZED], () => admin.createUser({ user: "admin", pwd: process.env.MONGO_ADMIN_PASSWORD, roles: ["root"] }));
admin.auth("admin", process.env.MONGO_ADMIN_PASSWORD);

// The nodes' own: their database, and to look whether the set is a safe one.
tolerating([ALREADY_A_USER], () =>
  db.getSiblingDB("caas").createUser({
    user: "caas",
    pwd: process.env.MONGO_PASSWORD,
    roles: [{ role: "dbOwner", db: "caas" }, { role: "clusterMonitor", db: "admin" }],
  }),
);
