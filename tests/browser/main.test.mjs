// main - every test of the dashboard, against one stack and in one browser
import { after, before, describe, it } from "node:test";
import { begin, end, tests } from "./shared.mjs";
import "./test_signin.mjs";
import "./test_guide.mjs";
import "./test_keys.mjs";
import "./test_watch.mjs";
import "./test_many.mjs";
import "./test_hostile.mjs";
import "./test_network.mjs";
import "./test_keyboard.mjs";
import "./test_looks.mjs";

describe("dashboard", { concurrency: 3 }, () => {
    before(begin);
    after(end);
    for (const { name, run } of tests) it(name, run);
});
