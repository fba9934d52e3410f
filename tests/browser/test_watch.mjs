// test_watch - alerts, usage, the audit log, and accounts
import assert from "node:assert/strict";
import { goTo, settled, signIn } from "./browser.mjs";
import { dialogOf, ownerTest, pageTest, stack, test } from "./shared.mjs";
import { wait } from "./stack.mjs";

// What raises an alert: a key that is used after it was revoked.
async function useRevokedKey(account, name) {
    const made = await stack.makeKey({ name, account_id: account.id });
    await stack.must("DELETE", `/v1/api-keys/${made.id}`);
    for (let n = 0; n < 5; n += 1) await stack.call("GET", "/v1/tasks", undefined, made.key);
    return made;
}

ownerTest(
    "an alert appears by itself, is acknowledged, resolved and found again by the filters",
    async ({ page, account }) => {
        await goTo(page, "#/alerts");
        await page.getByText("No alerts here").waitFor();
        await useRevokedKey(account, "Leaked");
        const alert = page.locator("[data-alert]", { hasText: "Revoked key used" });
        await alert.waitFor({ timeout: 60000 });
        await page.getByText("Live: 1 new alert").waitFor();
        const id = await alert.getAttribute("data-alert");
        const status = async () => (await stack.must("GET", `/v1/alerts/${id}`)).status;
        await alert.getByRole("button", { name: /^Acknowledge/ }).click();
        await alert.waitFor({ state: "detached" });
        assert.equal(await status(), "acknowledged");
        await page.getByLabel("Status").selectOption({ label: "Acknowledged" });
        await alert.getByText(/acknowledged by key_/).waitFor();
        await page.getByLabel("Severity").selectOption({ label: "Info" });
        await page.getByText("No alert fits the filters.").waitFor();
        await page.getByLabel("Severity").selectOption({ label: "Every severity" });
        await page.getByLabel("Kind").selectOption({ label: "Revoked key used" });
        await alert.getByRole("button", { name: /^Resolve/ }).click();
        await alert.waitFor({ state: "detached" });
        assert.equal(await status(), "resolved");
        await page.getByLabel("Status").selectOption({ label: "All" });
        await alert.getByRole("button", { name: /^Reopen/ }).waitFor();
    },
);

ownerTest("who reads an alert does not lose their place to the next look", async ({ page, account }) => {
    await useRevokedKey(account, "One");
    await wait(
        async () => (await stack.must("GET", `/v1/alerts?account_id=${account.id}`)).data.length,
        "the alert",
    );
    await goTo(page, "#/alerts");
    const button = page.getByRole("button", { name: /^Acknowledge/ }).first();
    await button.focus();
    await useRevokedKey(account, "Two");
    await wait(async () => (await page.locator("[data-alert]").count()) === 2, "the second alert", 60);
    const focused = await page.evaluate(
        () => document.activeElement.closest("[data-alert]")?.textContent ?? "",
    );
    assert.match(focused, /"One"/);
});

ownerTest("usage tells figures, the quota, the limits, and refusals by reason", async ({ page, account }) => {
    await stack.must("PATCH", `/v1/accounts/${account.id}`, {
        quota_month: 10,
        rate_limit: { per_hour: 6, per_minute: 6 },
    });
    const made = await stack.makeKey({ account_id: account.id });
    for (let n = 0; n < 6; n += 1) await stack.call("GET", "/v1/tasks", undefined, made.key);
    const refused = await stack.call("GET", "/v1/tasks", undefined, made.key);
    assert.equal(refused.status, 429);
    const usage = () => stack.must("GET", `/v1/usage?account_id=${account.id}`);
    await wait(
        async () => (await usage()).data.some((one) => one.decisions.rate_limit_exceeded),
        "the figures",
    );
    await goTo(page, "#/usage");
    const tile = (label) => page.locator(".tile", { hasText: label });
    await tile("Requests today").getByText("6", { exact: true }).waitFor();
    await tile("Monthly quota").getByText("60 %").waitFor();
    await tile("Monthly quota").getByText("6 of 10 requests by live keys").waitFor();
    await tile("Limit of each key").getByText("6 an hour").waitFor();
    await page.getByLabel("Refusals").getByText("Rate limit exceeded").waitFor();
    await page.getByRole("img", { name: /6 admitted, 1 refused/ }).waitFor();
    await page.getByLabel("By day").check();
    await page.getByRole("img", { name: /Requests by day: 6 admitted/ }).waitFor();
    await page.getByLabel("Environment").selectOption({ label: "Test keys" });
    await tile("Requests today").getByText("0", { exact: true }).waitFor();
});

ownerTest("the audit log tells who changed what, from what to what", async ({ page, account, id }) => {
    const made = await stack.makeKey({ name: "Watched", account_id: account.id });
    await stack.must("PATCH", `/v1/api-keys/${made.id}`, { name: "Watched closely" });
    await goTo(page, "#/audit");
    const row = page.getByRole("row", { name: /Changed a key/ });
    assert.equal(await row.locator("del").innerText(), "Watched");
    assert.equal(await row.locator("ins").innerText(), "Watched closely");
    await page.getByLabel("Action").selectOption({ label: "Created a key" });
    await row.waitFor({ state: "detached" });
    await wait(async () => (await page.locator("tbody tr").count()) === 2, "two entries");
    await page.getByLabel("Which thing was changed").fill(id);
    await page.keyboard.press("Enter");
    await wait(async () => (await page.locator("tbody tr").count()) === 1, "one entry");
    await page.getByRole("link", { name: id }).first().click();
    await page.getByRole("heading", { name: "Owner" }).waitFor();
});

test("an administrator makes and changes accounts and sees theirs alone when one is chosen", () =>
    pageTest(async (page) => {
        const name = `Harbour ${Date.now()}`;
        await signIn(page, stack.adminKey, "#/accounts");
        await page.getByRole("button", { name: "New account" }).click();
        const dialog = dialogOf(page);
        await dialog.getByRole("button", { name: "Create account" }).click();
        await dialog.getByText("Give the account a name.").waitFor();
        await dialog.getByLabel("Name", { exact: true }).fill(name);
        await dialog.getByLabel("Contact").fill("no address");
        await dialog.getByLabel("Plan", { exact: true }).selectOption({ label: "Professional" });
        await dialog.getByRole("button", { name: "Create account" }).click();
        await dialog.getByText("Must be one mail address, or null.").waitFor();
        await dialog.getByLabel("Contact").fill("ops@harbour.example");
        await dialog.getByRole("button", { name: "Create account" }).click();
        const row = page.getByRole("row", { name: new RegExp(name) });
        await row.getByText("Professional").waitFor();
        await row.getByText("10,000 an hour").waitFor();
        await row.getByRole("button", { name: `Edit ${name}` }).click();
        await dialog.getByLabel("Plan", { exact: true }).selectOption({ label: "Enterprise" });
        await dialog.getByRole("group", { name: "Rate Limit" }).getByLabel("Custom").check();
        await dialog.getByLabel("Requests an hour").fill("50000");
        await dialog.getByLabel("Monthly quota").fill("2000000");
        await dialog.getByRole("button", { name: "Save changes" }).click();
        await row.getByText("50,000 an hour").waitFor();
        await row.getByText("of 2,000,000").waitFor();
        const { data } = await stack.must("GET", "/v1/accounts?limit=100");
        const made = data.find((one) => one.name === name);
        assert.deepEqual(
            [made.plan, made.contact, made.rate_limit, made.quota_month],
            ["enterprise", "ops@harbour.example", { per_hour: 50000, per_minute: null }, 2000000],
        );

        await stack.makeKey({ name: "Of the harbour", account_id: made.id });
        await row.getByRole("link", { name: `Keys of ${name}` }).click();
        await settled(page);
        await page.getByRole("link", { name: "Of the harbour" }).waitFor();
        assert.equal(await page.locator("tbody tr").count(), 1);
        await page.getByRole("button", { name: "Generate New Key" }).first().click();
        await dialog.getByLabel("Name", { exact: true }).fill("Made for them");
        await dialog.getByText("More options").click();
        await dialog.getByLabel("Account", { exact: true }).fill(name);
        await dialog.getByRole("button", { name: "Create Key" }).click();
        await page.getByRole("heading", { name: "Your new key" }).waitFor();
        assert.equal(
            (await stack.must("GET", `/v1/api-keys?account_id=${made.id}`)).data[0].name,
            "Made for them",
        );
    }));
