// test_network - slow, failing and refusing networks: told in words, and nothing typed is lost
import assert from "node:assert/strict";
import { settled, signIn } from "./browser.mjs";
import { dialogOf, makeOwner, ownerTest, pageTest, stack, test } from "./shared.mjs";

const KEYS = "**/v1/api-keys*";

async function halfFilled(page) {
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    await dialogOf(page).getByLabel("Name", { exact: true }).fill("Half filled");
    await dialogOf(page).getByLabel("Description").fill("Words that took a while");
    await dialogOf(page)
        .getByLabel(/^tasks:delete/)
        .check();
}

async function stillThere(page) {
    assert.equal(await dialogOf(page).getByLabel("Name", { exact: true }).inputValue(), "Half filled");
    assert.equal(await dialogOf(page).getByLabel("Description").inputValue(), "Words that took a while");
    assert.ok(
        await dialogOf(page)
            .getByLabel(/^tasks:delete/)
            .isChecked(),
    );
}

const create = (page) => dialogOf(page).getByRole("button", { name: "Create Key" }).click();

async function keysNamed(account, name) {
    return (await stack.must("GET", `/v1/api-keys?account_id=${account.id}&search=${encodeURIComponent(name)}`))
        .data;
}

ownerTest(
    "a network that is gone is told, and the form goes out when it is back",
    async ({ page, account }) => {
        await halfFilled(page);
        await page.context().setOffline(true);
        await create(page);
        await dialogOf(page)
            .getByText("The server cannot be reached. Check your connection, then try again.")
            .waitFor();
        await stillThere(page);
        await page.context().setOffline(false);
        await create(page);
        await page.getByRole("heading", { name: "Your new key" }).waitFor();
        assert.equal((await keysNamed(account, "Half filled")).length, 1);
    },
);

ownerTest(
    "an answer that is lost on its way makes no second key, and the first is named",
    async ({ page, account }) => {
        let losing = true;
        await page.route(KEYS, async (route) => {
            if (!losing || route.request().method() !== "POST") return route.continue();
            losing = false;
            await route.fetch();
            return route.abort();
        });
        await halfFilled(page);
        await create(page);
        await dialogOf(page).getByText("The server cannot be reached.").waitFor();
        const [lost] = await keysNamed(account, "Half filled");
        await create(page);
        await dialogOf(page).getByText(`revoke ${lost.id} in the list`).waitFor();
        await stillThere(page);
        assert.equal((await keysNamed(account, "Half filled")).length, 1);
        await create(page);
        await page.getByRole("heading", { name: "Your new key" }).waitFor();
        assert.equal((await keysNamed(account, "Half filled")).length, 2);
    },
);

ownerTest("a half-filled form survives a reload", async ({ page }) => {
    await halfFilled(page);
    page.on("dialog", (question) => question.accept());
    await page.reload();
    await settled(page);
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    await dialogOf(page).getByText("What you had typed and not sent is here again.").waitFor();
    await stillThere(page);
});

test("a half-filled form survives the end of the session", async () => {
    const owner = await makeOwner();
    const other = await stack.makeKey({
        permissions: ["api-keys:read", "api-keys:write", "tasks:read", "tasks:write", "tasks:delete"],
        account_id: owner.account.id,
    });
    await pageTest(async (page) => {
        await signIn(page, owner.key);
        await halfFilled(page);
        await stack.must("DELETE", `/v1/api-keys/${owner.id}`);
        await create(page);
        await page.getByText("The API key has been revoked.").waitFor();
        assert.equal(await dialogOf(page).count(), 0);
        await page.getByLabel("API key").fill(other.key);
        await page.getByRole("button", { name: "Sign in" }).click();
        await page.getByRole("button", { name: "Generate New Key" }).first().click();
        await stillThere(page);
    });
});

ownerTest("a half-filled form asks before it is thrown away, and signing out forgets it", async ({ page }) => {
    await halfFilled(page);
    await page.keyboard.press("Escape");
    await dialogOf(page).getByText("You have typed something that is not sent.").waitFor();
    await dialogOf(page).getByRole("button", { name: "Go back" }).click();
    await stillThere(page);
    await dialogOf(page).getByRole("button", { name: "Cancel" }).click();
    await dialogOf(page).getByRole("button", { name: "Close anyway" }).click();
    await dialogOf(page).waitFor({ state: "detached" });
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), ["apikey.session"]);
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    assert.equal(await dialogOf(page).getByLabel("Name", { exact: true }).inputValue(), "");
});

const REFUSALS = [
    [
        "the database away",
        503,
        { "Retry-After": "3" },
        { message: "The API key cannot be checked at the moment." },
        "The API key cannot be checked at the moment. Try again in 3 seconds.",
    ],
    [
        "too many requests",
        429,
        { "Retry-After": "1" },
        { message: "The rate limit is used up." },
        "The rate limit is used up. Try again in 1 second.",
    ],
    ["a proxy's page", 502, {}, null, "The server answered 502 without saying why."],
    ["an answer that is no JSON", 200, {}, null, "The server's answer cannot be read."],
];

for (const [what, status, headers, body, words] of REFUSALS) {
    ownerTest(`${what}: the list says so and is asked again`, async ({ page }) => {
        await page.route(KEYS, (route) =>
            route.fulfill({
                status,
                headers: { "Content-Type": "text/html", ...headers },
                body: body ? JSON.stringify(body) : "<h1>nothing to read</h1>",
            }),
        );
        await page.reload();
        await page.getByRole("alert").getByText(words).waitFor();
        await page.unroute(KEYS);
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByRole("link", { name: "Owner" }).waitFor();
    });
}

ownerTest(
    "a slow answer shows that it is awaited, and an overtaken one is not shown",
    async ({ page, account }) => {
        await stack.makeKey({ name: "Slow one", account_id: account.id });
        let release = null;
        const held = new Promise((resolve) => {
            release = resolve;
        });
        await page.route(/api-keys\?.*search=Slow/, async (route) => {
            await held;
            await route.continue().catch(() => {});
        });
        await page.getByLabel("Search keys").fill("Slow");
        await page.getByText("Loading the keys…").waitFor();
        await page.getByLabel("Search keys").fill("Own");
        await page.getByRole("link", { name: "Owner" }).waitFor();
        release();
        await settled(page);
        assert.deepEqual(await page.locator("tbody .key-name").allInnerTexts(), ["Owner"]);
    },
);

ownerTest("alerts say when they are not live", async ({ page }) => {
    await page.evaluate(() => {
        location.hash = "#/alerts";
    });
    await page.getByText("Live", { exact: true }).waitFor();
    await page.context().setOffline(true);
    await page.getByText("Not live: The server cannot be reached.").waitFor({ timeout: 30000 });
    await page.context().setOffline(false);
    await page.getByText("Live", { exact: true }).waitFor({ timeout: 30000 });
});

test("a server that is away at the start is told, with a way to try again", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        await signIn(page, owner.key);
        await page.route("**/v1/permissions", (route) => route.abort());
        await page.reload();
        await page.getByText("The server cannot be reached.").waitFor();
        await page.unroute("**/v1/permissions");
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByRole("link", { name: "Owner" }).waitFor();
    });
});
