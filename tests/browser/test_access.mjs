// test_access - by keyboard alone, by screen reader (axe-core), and on every width; with pictures
import assert from "node:assert/strict";
import { axe, DESK, goTo, PHONE, shot, signIn } from "./browser.mjs";
import { act, dialogOf, OWNER, ownerTest, pageTest, stack, test } from "./shared.mjs";
import { wait } from "./stack.mjs";

// --- by keyboard alone ------------------------------------------------------------------------

const focused = (page) => page.evaluate(() => {
    const node = document.activeElement;
    return (node.getAttribute("aria-label") ?? node.labels?.[0]?.textContent ?? node.textContent).trim();
});

async function tabTo(page, name, most = 60) {
    for (let n = 0; n < most; n += 1) {
        await page.keyboard.press("Tab");
        if (await focused(page) === name) return;
    }
    throw new Error(`${name} was not reached by ${most} tabs`);
}

ownerTest("a key is made, copied and found by keyboard alone", async ({ page }) => {
    assert.equal(await focused(page), "API");
    await page.reload();
    await page.getByRole("link", { name: "Owner" }).waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Skip to the page");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await tabTo(page, "Generate New Key");
    await page.keyboard.press("Enter");
    await dialogOf(page).waitFor();
    assert.equal(await focused(page), "Name");
    await page.keyboard.type("By keyboard");
    await tabTo(page, "Create Key");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    assert.equal(await focused(page), "Copy");
    await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(page), "The full key");
    await page.keyboard.press("Control+c");
    await page.keyboard.press("Escape");
    await dialogOf(page).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "By keyboard" }).waitFor();
});

ownerTest("a menu opens, moves and closes by keyboard, and a dialog gives the focus back", async ({ page }) => {
    const opener = page.getByRole("button", { name: "Actions for Owner" });
    await opener.focus();
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(page), "Edit");
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(page), "Rotate");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    assert.equal(await focused(page), "Revoke");
    await page.keyboard.press("Escape");
    assert.equal(await focused(page), "Actions for Owner");
    assert.equal(await opener.getAttribute("aria-expanded"), "false");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await dialogOf(page).waitFor();
    await wait(async () => await focused(page) === "Name", "the focus in the dialog");
    for (let n = 0; n < 80; n += 1) {
        await page.keyboard.press("Tab");
        assert.ok(await page.evaluate(() => document.activeElement === document.body
            || document.activeElement.closest("dialog") !== null), "the focus left the dialog");
    }
    await page.keyboard.press("Escape");
    await dialogOf(page).waitFor({ state: "detached" });
    assert.equal(await focused(page), "Actions for Owner");
});

ownerTest("the heading takes the focus when the page changes, so that it is read out", async ({ page }) => {
    await page.getByRole("link", { name: "Audit log" }).click();
    await wait(async () => await focused(page) === "Audit log", "the focus");
    await page.goBack();
    await wait(async () => await focused(page) === "API", "the focus");
    assert.equal(await page.title(), "API - API keys");
    assert.equal(await page.locator("#places a[aria-current=page]").innerText(), "API");
});

// --- every page, light and dark, on a desk and on a phone ------------------------------------------

async function furnish() {
    const account = await stack.makeAccount({ name: "Harbour Logistics", contact: "ops@harbour.example", quota_month: 150000 });
    const make = (name, description, permissions, more = {}) => stack.makeKey({ name, description, permissions, account_id: account.id, ...more });
    const all = ["tasks:read", "tasks:write", "projects:read", "projects:write", "users:read"];
    const owner = await make("Account owner", "Manages the other keys", OWNER);
    const app = await make("Production App", "Main application backend", all, { expires_at: "2031-01-15T12:00:00Z", rate_limit: { per_hour: 90, per_minute: 60 } });
    const phone = await make("Mobile App", "Sync service of the phone app", ["tasks:read", "tasks:write"]);
    await make("Staging", "", ["tasks:read", "users:read"], { environment: "test" });
    await make("Nightly export", "Moves yesterday's tasks to the warehouse", ["tasks:read"], { expires_at: "2030-06-01T06:00:00Z" });
    const feed = await make("Partner feed", "Read access for the shipping partner", ["tasks:read"]);
    for (let n = 0; n < 12; n += 1) await stack.call("GET", "/v1/tasks", undefined, n % 3 ? app.key : phone.key, { "X-Forwarded-For": n < 9 ? "198.51.100.7" : "203.0.113.9" });
    await stack.call("DELETE", "/v1/tasks/1", undefined, app.key);
    await stack.must("PATCH", `/v1/api-keys/${app.id}`, { permissions: all.slice(0, 3) });
    await stack.must("DELETE", `/v1/api-keys/${feed.id}`);
    for (let n = 0; n < 4; n += 1) await stack.call("GET", "/v1/tasks", undefined, feed.key, { "X-Forwarded-For": "203.0.113.77" });
    await wait(async () => (await stack.must("GET", `/v1/alerts?account_id=${account.id}`)).data.length >= 2, "alerts");
    await wait(async () => (await stack.must("GET", `/v1/api-keys/${app.id}`)).usage.requests_today === 8, "the figures");
    await history(account, [app, phone]);
    return { account, owner, app };
}

// Figures of the days before, which no test could wait for.
function history(account, keys) {
    const rows = keys.map(({ id }, n) => `
        WITH RECURSIVE h(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM h WHERE i < 700)
        INSERT INTO usage_hour SELECT '${id}', (unixepoch() / 3600 - i) * 3600, 'ok', '${account.id}', 'live',
            20 + (i * 37 + ${n} * 11) % 29 + CASE WHEN (unixepoch() / 3600 - i) % 24 BETWEEN 7 AND 18 THEN 38 ELSE 0 END FROM h;
        WITH RECURSIVE h(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM h WHERE i < 700)
        INSERT INTO usage_hour SELECT '${id}', (unixepoch() / 3600 - i) * 3600, 'rate_limit_exceeded', '${account.id}', 'live',
            1 + i % 9 FROM h WHERE i % 4 = ${n};`).join("");
    return stack.sql(`${rows}
        INSERT INTO usage_day SELECT key_id, start - start % 86400, decision, account_id, environment, sum(requests) FROM usage_hour
            WHERE account_id = '${account.id}' GROUP BY 1, 2, 3 ON CONFLICT (key_id, start, decision) DO UPDATE SET requests = excluded.requests;
        UPDATE usage_month SET requests = (SELECT sum(requests) FROM usage_day WHERE account_id = '${account.id}' AND decision = 'ok'
            AND start >= unixepoch('now', 'start of month')) WHERE account_id = '${account.id}';`);
}

let furnished = null;
const furniture = () => { furnished ??= furnish(); return furnished; };

const tooWide = (page) => page.evaluate(() =>
    document.documentElement.scrollWidth - document.documentElement.clientWidth);

// Looks at what is shown: findings of axe-core, and anything wider than the screen.
async function look(page, name) {
    const wide = await tooWide(page);
    const found = await axe(page);
    await shot(page, name, !name.startsWith("dialog"));
    assert.deepEqual(found, [], name);
    assert.ok(wide <= 0, `${name} is ${wide} pixels too wide`);
}

async function lookAtPages(page, app, suffix) {
    for (const [name, hash, ready] of [["keys", "#/keys", "Generate New Key"], ["alerts", "#/alerts", "Revoked key used"],
        ["usage", "#/usage", "The figures as a table"], ["audit", "#/audit", "Changed a key"],
        ["key", `#/keys/${app.id}`, "198.51.100.0/24"]]) {
        await goTo(page, hash);
        await page.getByText(ready).locator("visible=true").first().waitFor();
        await look(page, `${name}-${suffix}`);
    }
}

async function lookAtDialogs(page, suffix) {
    await goTo(page, "#/keys");
    for (const action of ["Edit", "Extend", "Rotate", "Revoke"]) {
        await act(page, "Production App", action);
        await look(page, `dialog-${action.toLowerCase()}-${suffix}`);
        await page.keyboard.press("Escape");
        await dialogOf(page).waitFor({ state: "detached" });
    }
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    await look(page, `dialog-generate-${suffix}`);
    await dialogOf(page).getByRole("button", { name: "Create Key" }).click();
    await dialogOf(page).getByText("Give the key a name.").waitFor();
    await look(page, `dialog-errors-${suffix}`);
    await dialogOf(page).getByLabel("Name", { exact: true }).fill(`Pictured, ${suffix}`);
    await dialogOf(page).getByRole("button", { name: "Create Key" }).click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    await look(page, `dialog-secret-${suffix}`);
    await page.keyboard.press("Escape");
    await look(page, `dialog-secret-asks-${suffix}`);
}

const LOOKS = [["light-desk", { colorScheme: "light", viewport: DESK }], ["dark-desk", { colorScheme: "dark", viewport: DESK }],
    ["light-phone", { colorScheme: "light", viewport: PHONE, hasTouch: true, isMobile: true }],
    ["dark-phone", { colorScheme: "dark", viewport: PHONE, hasTouch: true, isMobile: true }]];

const WITH_DIALOGS = ["light-desk", "dark-phone"];

for (const [suffix, options] of LOOKS) {
    test(`axe-core finds nothing serious in any page, and all fit: ${suffix}`, () => pageTest(async (page) => {
        const { owner, app } = await furniture();
        await page.goto(page.home);
        await page.getByRole("heading", { name: "Sign in" }).waitFor();
        await look(page, `sign-in-${suffix}`);
        await signIn(page, owner.key);
        await lookAtPages(page, app, suffix);
        if (WITH_DIALOGS.includes(suffix)) await lookAtDialogs(page, suffix);
    }, options));

    test(`axe-core finds nothing serious in accounts: ${suffix}`, () => pageTest(async (page) => {
        await furniture();
        await signIn(page, stack.adminKey, "#/accounts");
        await page.getByText("Harbour Logistics").waitFor();
        await look(page, `accounts-${suffix}`);
        await page.getByRole("button", { name: "New account" }).click();
        await look(page, `dialog-account-${suffix}`);
    }, options));
}

test("axe-core would find what is wrong", () => pageTest(async (page) => {
    await page.goto(page.home);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.evaluate(() => {
        document.querySelector("label").remove();
        document.querySelector(".hint").style.color = "#bbb";
    });
    assert.match((await axe(page)).join("\n"), /color-contrast/);
}));

ownerTest("on a phone the pages are behind a menu", async ({ page }) => {
    const menu = page.getByRole("button", { name: "Menu" });
    assert.equal(await page.getByRole("link", { name: "Alerts" }).count(), 0);
    await menu.click();
    assert.equal(await menu.getAttribute("aria-expanded"), "true");
    await page.getByRole("link", { name: "Alerts" }).click();
    await page.getByRole("heading", { name: "Alerts" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "Usage" }).count(), 0);
}, { options: { viewport: PHONE, hasTouch: true, isMobile: true } });

ownerTest("nothing is cut off on any width, however long the words", async ({ page, account }) => {
    const name = "A name that is as long as a name may be and has aVeryLongWordInItThatDoesNotBreakByItselfAnywhere1234";
    const made = await stack.makeKey({ name: name.slice(0, 100), description: "x".repeat(300), account_id: account.id });
    for (const hash of ["#/keys", `#/keys/${made.id}`, "#/audit"]) {
        await goTo(page, hash === "#/keys" ? "#/keys?size=50" : hash);
        await page.getByText("aVeryLongWord").first().waitFor();
        for (const width of [320, 600, 961, 1100, 1250, 1920]) {
            await page.setViewportSize({ width, height: 800 });
            await wait(async () => await tooWide(page) <= 0, `${hash} to fit ${width} pixels`, 10);
        }
    }
});
