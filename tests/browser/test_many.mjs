// test_many - an account with 10,000 keys: pages, search, and orders that the server does not give
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { open, settled, signIn } from "./browser.mjs";
import { browser, makeOwner, stack, test } from "./shared.mjs";
import { BUILD, wait } from "./stack.mjs";

const COUNT = 10000;
const SENT_MAX = 300 * 1024; // bytes, of the list's first page and all that it needs

function manyKeys(account) {
    return stack.sql(`
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${COUNT})
        INSERT INTO api_keys (id, digest, account_id, environment, name, prefix, last_four, permissions,
                              created_at, created_by)
        SELECT printf('key_%020d', i), printf('%064x', i), '${account}', 'live',
               printf('Service %05d', (i * 7919) % ${COUNT}),
               'sk_live_abc...', 'wxyz', 'tasks:read tasks:write', 1700000000 + i, 'tests' FROM n;`);
}

// Bytes that came over the network, headers and all, while f ran.
async function countBytes(page, f) {
    const client = await page.context().newCDPSession(page);
    let bytes = 0;
    client.on("Network.loadingFinished", (event) => {
        bytes += event.encodedDataLength;
    });
    await client.send("Network.enable");
    await f();
    return bytes;
}

const names = (page) => page.locator("tbody .key-name").allInnerTexts();

test(`a list of ${COUNT} keys is light, turns its pages, and is sorted as a whole`, async () => {
    const owner = await makeOwner();
    await manyKeys(owner.account.id);
    const page = await open(browser, stack);
    await signIn(page, owner.key);
    await page.close();

    const fresh = await open(browser, stack);
    await fresh.addInitScript((key) => sessionStorage.setItem("apikey.session", key), owner.key);
    const bytes = await countBytes(fresh, async () => {
        await fresh.goto(fresh.home);
        await fresh.locator("tbody tr").nth(24).waitFor();
    });
    const painted = await fresh.evaluate(() => ({
        first_paint_ms: Math.round(performance.getEntriesByName("first-contentful-paint")[0].startTime),
        list_ms: Math.round(performance.now()),
    }));
    await writeFile(
        path.join(BUILD, "dashboard-figures.json"),
        `${JSON.stringify({ keys: COUNT, bytes, ...painted })}\n`,
    );
    const [loaded, preloaded] = await fresh.evaluate(() => [
        performance
            .getEntriesByType("resource")
            .map((entry) => entry.name)
            .filter((name) => name.endsWith(".js")),
        [...document.querySelectorAll("link[rel=modulepreload], script")].map((link) => link.href || link.src),
    ]);
    assert.deepEqual(
        loaded.sort(),
        preloaded.sort(),
        "index.html preloads what the first page needs, and only that",
    );
    assert.ok(bytes > 20000 && bytes < SENT_MAX, `${bytes} bytes`);

    const newest = await names(fresh);
    await fresh.getByRole("button", { name: "Next" }).click();
    await fresh.getByText("Page 2", { exact: true }).waitFor();
    const second = await names(fresh);
    assert.equal(second.filter((name) => newest.includes(name)).length, 0);
    await fresh.getByRole("button", { name: "Previous" }).click();
    await wait(
        async () => JSON.stringify(await names(fresh)) === JSON.stringify(newest),
        "the first page again",
    );

    await fresh.getByLabel("Order").selectOption({ label: "Name, A to Z" });
    await fresh.getByText("10,001 keys").waitFor({ timeout: 60000 });
    const wanted = Array.from({ length: 24 }, (_, n) => `Service ${String(n).padStart(5, "0")}`);
    assert.deepEqual(await names(fresh), ["Owner", ...wanted]);
    await fresh.getByRole("button", { name: "Next" }).click();
    await fresh.getByRole("link", { name: "Service 00024" }).waitFor();
    await fresh.getByLabel("Keys on a page").selectOption({ label: "100 a page" });
    await fresh.locator("tbody tr").nth(99).waitFor({ timeout: 60000 });

    await fresh.getByLabel("Search keys").fill("service 09999");
    await wait(async () => (await names(fresh)).join() === "Service 09999", "the one that was searched");
    await settled(fresh);
    assert.deepEqual(fresh.trouble, []);
    await fresh.context().close();
});
