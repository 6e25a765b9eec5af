import assert from "node:assert/strict";
import { it } from "node:test";
import { joiningText } from "./hosts.ts";

it("a host is told how to join, and by which authority it knows the cloud", () => {
  assert.equal(
    joiningText("node-1", { baseUrl: "http://10.0.0.1:5000", caFile: null }, "token"),
    "On the host:\n  pileus agent --host node-1 --server http://10.0.0.1:5000 --join-token-file token\n",
  );
  assert.equal(
    joiningText("node-1", { baseUrl: "https://cloud.example", caFile: "/srv/pileus/cert.pem" }, "token"),
    "On the host, with a copy of /srv/pileus/cert.pem:\n" +
      "  pileus agent --host node-1 --server https://cloud.example --ca-file cert.pem --join-token-file token\n",
  );
});
