// test_keys - what can be done with keys: list, edit, extend, rotate, revoke, and a key's own page
import assert from "node:assert/strict";
import { goTo, settled } from "./browser.mjs";
import { act, copyKey, dialogOf, ownerTest, stack } from "./shared.mjs";
import { wait } from "./stack.mjs";

const names = (page) => page.locator("tbody .key-name").allInnerTexts();
const untilNames = (page, wanted) =>
    wait(async () => JSON.stringify(await names(page)) === JSON.stringify(wanted), `the list to be ${wanted}`);

async function threeKeys(account, page) {
    const day = (days) => new Date(Date.now() + days * 86400000).toISOString();
    const made = [];
    for (const [name, more] of [
        ["Beta", { expires_at: day(90) }],
        ["alpha", { environment: "test" }],
        ["Gamma", { expires_at: day(30) }],
    ]) {
        made.push(await stack.makeKey({ name, account_id: account.id, ...more }));
    }
    await page.reload();
    await settled(page);
    return made;
}

ownerTest(
    "the list is searched, filtered and sorted, and the address remembers it",
    async ({ page, account }) => {
        const [beta] = await threeKeys(account, page);
        await untilNames(page, ["Gamma", "alpha", "Beta", "Owner"]);
        await page.getByLabel("Search keys").fill("GAM");
        await untilNames(page, ["Gamma"]);
        await page.getByLabel("Search keys").fill(beta.key.slice(0, 11));
        await untilNames(page, ["Beta"]);
        await page.getByLabel("Search keys").fill("100%_nothing");
        await page.getByText("No key fits").waitFor();
        await page.getByRole("button", { name: "Clear filters" }).click();
        await untilNames(page, ["Gamma", "alpha", "Beta", "Owner"]);
        await page.getByLabel("Environment").selectOption({ label: "Test" });
        await untilNames(page, ["alpha"]);
        await page.getByLabel("Environment").selectOption({ label: "Live and test" });
        await page.getByRole("button", { name: "Name" }).click();
        await untilNames(page, ["alpha", "Beta", "Gamma", "Owner"]);
        assert.equal(
            await page.getByRole("columnheader", { name: "Name" }).getAttribute("aria-sort"),
            "ascending",
        );
        await page.getByRole("button", { name: "Name" }).click();
        await untilNames(page, ["Owner", "Gamma", "Beta", "alpha"]);
        await page.getByLabel("Order").selectOption({ label: "Expires first" });
        await wait(
            async () => (await names(page))[0] === "Gamma" && (await names(page))[1] === "Beta",
            "the order by expiry",
        );
        await page.reload();
        await wait(async () => (await names(page))[0] === "Gamma", "the same order after a reload");
        await stack.must("DELETE", `/v1/api-keys/${beta.id}`);
        await page.getByLabel("Status").selectOption({ label: "Revoked" });
        await untilNames(page, ["Beta"]);
    },
);

ownerTest("a key is edited: only what was changed is sent", async ({ page, account }) => {
    const made = await stack.makeKey({
        name: "Before",
        description: "Old words",
        account_id: account.id,
        permissions: ["tasks:read", "tasks:write"],
    });
    await page.reload();
    const sent = [];
    page.on("request", (request) => request.method() === "PATCH" && sent.push(request.postDataJSON()));
    await act(page, "Before", "Edit");
    const dialog = dialogOf(page);
    await dialog.getByLabel("Name", { exact: true }).fill("After");
    await dialog.getByLabel(/^tasks:write/).uncheck();
    await dialog.getByLabel(/^projects:read/).check();
    await dialog.getByRole("button", { name: "Save changes" }).click();
    await page.getByRole("link", { name: "After" }).waitFor();
    assert.deepEqual(sent, [{ name: "After", permissions: ["tasks:read", "projects:read"] }]);
    const now = await stack.must("GET", `/v1/api-keys/${made.id}`);
    assert.equal(now.name, "After");
    assert.equal(now.description, "Old words");
    assert.deepEqual(now.permissions, ["tasks:read", "projects:read"]);
});

ownerTest("limits, networks and an expiry of its own reach the key", async ({ page, account }) => {
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    const dialog = dialogOf(page);
    await dialog.getByLabel("Name", { exact: true }).fill("With all");
    await dialog.getByLabel("Test", { exact: true }).check();
    await dialog.getByRole("group", { name: "Rate Limit" }).getByLabel("Custom").check();
    await dialog.getByLabel("Requests an hour").fill("120");
    await dialog.getByLabel("Requests a minute").fill("12");
    await dialog.getByLabel("When the key expires").selectOption({ label: "On a date" });
    await dialog.getByLabel(/^Date and time/).fill("2031-01-15T13:00");
    await dialog.getByText("In UTC: 2031-01-15 12:00:00 UTC").waitFor();
    await dialog.getByText("More options").click();
    await dialog.getByLabel("Allowed networks").fill("192.0.2.0/24\n2001:db8::/32");
    await dialog.getByRole("button", { name: "Create Key" }).click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    const { data } = await stack.must("GET", `/v1/api-keys?account_id=${account.id}&search=With`);
    assert.equal(data[0].environment, "test");
    assert.deepEqual(data[0].rate_limit, { per_hour: 120, per_minute: 12 });
    assert.equal(data[0].expires_at, "2031-01-15T12:00:00Z");
    assert.deepEqual(data[0].allowed_ips, ["192.0.2.0/24", "2001:db8::/32"]);
});

ownerTest("what is wrong with a form stands at its fields, from here and from the server", async ({ page }) => {
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    const dialog = dialogOf(page);
    await dialog.getByRole("group", { name: "Rate Limit" }).getByLabel("Custom").check();
    await dialog.getByLabel("Requests an hour").fill("many");
    await dialog.getByRole("button", { name: "Create Key" }).click();
    await dialog.getByText("Give the key a name.").waitFor();
    await dialog.getByText("Must be a whole number of 1 or more").waitFor();
    assert.equal(
        await page.evaluate(() => document.activeElement.closest("[data-field]").dataset.field),
        "name",
    );
    await dialog.getByLabel("Name", { exact: true }).fill("Wrong networks");
    await dialog.getByRole("group", { name: "Rate Limit" }).getByLabel("Default").check();
    await dialog.getByText("More options").click();
    await dialog.getByLabel("Allowed networks").fill("not-an-address");
    await dialog.getByRole("button", { name: "Create Key" }).click();
    await dialog.getByText("Must be an address or a network").waitFor();
    assert.equal(await dialog.getByLabel("Allowed networks").getAttribute("aria-invalid"), "true");
    assert.equal(await dialog.getByLabel("Name", { exact: true }).inputValue(), "Wrong networks");
});

ownerTest("a plan's refusal is told in words", async ({ page, account }) => {
    await stack.makeKey({ name: "Small", account_id: account.id });
    await page.reload();
    await act(page, "Small", "Edit");
    await dialogOf(page).getByRole("group", { name: "Rate Limit" }).getByLabel("Custom").check();
    await dialogOf(page).getByLabel("Requests an hour").fill("99999999");
    await dialogOf(page).getByRole("button", { name: "Save changes" }).click();
    await dialogOf(page)
        .getByText("Limits above the plan's are for accounts of the enterprise plan.")
        .waitFor();
});

ownerTest("two people who edit one key do not undo each other", async ({ page, account }) => {
    const made = await stack.makeKey({ name: "Shared", description: "First", account_id: account.id });
    await page.reload();
    await act(page, "Shared", "Edit");
    await dialogOf(page).getByLabel("Name", { exact: true }).fill("Shared by two");
    await stack.must("PATCH", `/v1/api-keys/${made.id}`, { description: "Second" });
    await dialogOf(page).getByRole("button", { name: "Save changes" }).click();
    await dialogOf(page).getByText("Someone else changed this key meanwhile.").waitFor();
    await dialogOf(page).getByRole("button", { name: "Save changes" }).click();
    await page.getByRole("link", { name: "Shared by two" }).waitFor();
    const now = await stack.must("GET", `/v1/api-keys/${made.id}`);
    assert.deepEqual([now.name, now.description], ["Shared by two", "Second"]);
});

ownerTest("a key's expiration is extended", async ({ page, account }) => {
    const made = await stack.makeKey({
        name: "Temporary",
        account_id: account.id,
        expires_at: "2030-12-31T23:59:59Z",
    });
    await page.reload();
    await act(page, "Temporary", "Extend");
    await dialogOf(page)
        .getByLabel(/^Date and time/)
        .fill("2032-01-01T00:59");
    await dialogOf(page).getByRole("button", { name: "Extend key" }).click();
    await dialogOf(page).waitFor({ state: "detached" });
    assert.equal((await stack.must("GET", `/v1/api-keys/${made.id}`)).expires_at, "2031-12-31T23:59:00Z");
});

ownerTest("an expiration in the past is refused before it is sent", async ({ page, account }) => {
    await stack.makeKey({ name: "Temporary", account_id: account.id, expires_at: "2030-12-31T23:59:59Z" });
    await page.reload();
    await act(page, "Temporary", "Extend");
    await dialogOf(page)
        .getByLabel(/^Date and time/)
        .fill("2020-01-01T00:00");
    await dialogOf(page).getByRole("button", { name: "Extend key" }).click();
    await dialogOf(page).getByText("Choose a time that is still to come.").waitFor();
});

ownerTest("a key is rotated, and both work for the overlap", async ({ page, account }) => {
    const old = await stack.makeKey({ name: "Turning", account_id: account.id });
    await page.reload();
    await act(page, "Turning", "Rotate");
    await dialogOf(page).getByLabel("Both keys work for").selectOption({ label: "1 hour" });
    await dialogOf(page).getByRole("button", { name: "Rotate key" }).click();
    await page.getByRole("heading", { name: "The new key" }).waitFor();
    const fresh = await dialogOf(page).getByLabel("The full key").inputValue();
    assert.notEqual(fresh, old.key);
    assert.equal((await stack.call("GET", "/v1/tasks", undefined, fresh)).status, 200);
    assert.equal((await stack.call("GET", "/v1/tasks", undefined, old.key)).status, 200);
    const left =
        (Date.parse((await stack.must("GET", `/v1/api-keys/${old.id}`)).expires_at) - Date.now()) / 1000;
    assert.ok(left > 3000 && left <= 3601, `${left} s left`);
    assert.equal(await copyKey(page), fresh);
    await dialogOf(page).getByRole("button", { name: "Done" }).click();
    await page.getByText("Rotated", { exact: true }).waitFor();
});

ownerTest("a key is revoked only by its name, and then fails at once", async ({ page, account }) => {
    const made = await stack.makeKey({ name: "Old  integration", account_id: account.id });
    assert.equal((await stack.call("GET", "/v1/tasks", undefined, made.key)).status, 200);
    await page.reload();
    await act(page, "Old integration", "Revoke");
    for (const wrong of ["", "old integration"]) {
        await dialogOf(page).getByLabel("Name of the key").fill(wrong);
        await dialogOf(page).getByRole("button", { name: "Revoke key" }).click();
        await dialogOf(page).getByText("This is not the name of the key.").waitFor();
    }
    assert.equal((await stack.must("GET", `/v1/api-keys/${made.id}`)).status, "active");
    await dialogOf(page).getByLabel("Name of the key").fill("Old integration");
    await dialogOf(page).getByRole("button", { name: "Revoke key" }).click();
    await dialogOf(page).waitFor({ state: "detached" });
    assert.equal((await stack.call("GET", "/v1/tasks", undefined, made.key)).body.code, "revoked_key");
    await page.getByRole("link", { name: "Old integration" }).waitFor({ state: "detached" });
});

ownerTest("a key's page tells its use, refusals, networks, alerts and trail", async ({ page, account }) => {
    const made = await stack.makeKey({ name: "Busy", account_id: account.id });
    const from = (address) => ({ "X-Forwarded-For": address });
    for (let n = 0; n < 4; n += 1) await stack.call("GET", "/v1/tasks", undefined, made.key, from("192.0.2.7"));
    await stack.call("DELETE", "/v1/tasks/1", undefined, made.key, from("192.0.2.7"));
    await stack.call("GET", "/v1/tasks", undefined, made.key, from("198.51.100.9"));
    await stack.must("PATCH", `/v1/api-keys/${made.id}`, { description: "A busy one" });
    await wait(
        async () => (await stack.must("GET", `/v1/api-keys/${made.id}`)).usage.requests_today === 5,
        "the figures",
    );
    await wait(
        async () => (await stack.must("GET", `/v1/alerts?key_id=${made.id}`)).data.length > 0,
        "the alert",
    );
    await goTo(page, `#/keys/${made.id}`);
    await page.getByRole("heading", { name: "Busy" }).waitFor();
    await page.locator(".tile", { hasText: "Requests today" }).getByText("5", { exact: true }).waitFor();
    await page.getByRole("img", { name: /5 admitted, 1 refused/ }).waitFor();
    await wait(
        () =>
            page.locator("canvas").evaluate(
                (canvas) =>
                    canvas.width > 0
                    && canvas
                        .getContext("2d")
                        .getImageData(0, 0, canvas.width, canvas.height)
                        .data.some((value) => value > 0),
            ),
        "the chart",
    );
    await page.getByLabel("Refusals").getByText("Missing permission").waitFor();
    await page.getByLabel("Networks").getByText("192.0.2.0/24").waitFor();
    await page.getByLabel("Networks").getByText("198.51.100.0/24").waitFor();
    await page.getByLabel("Alerts", { exact: true }).getByText("Used from a new network").first().waitFor();
    await page.getByLabel("Audit trail").getByText("Created a key").waitFor();
    await page.getByLabel("Audit trail").getByText("A busy one").waitFor();
    await page.getByText("The figures as a table").click();
    await page.getByRole("table", { name: "Requests" }).getByRole("cell", { name: "5" }).waitFor();
    await page.getByLabel("By day").check();
    await page.getByRole("img", { name: /Requests by day: 5 admitted/ }).waitFor();
});

ownerTest("a key of another account, or none, is not found", async ({ page }) => {
    const foreign = await stack.makeKey({ name: "Foreign" });
    for (const id of [foreign.id, "key_" + "0".repeat(20), "x%2F..%2Faccounts"]) {
        await goTo(page, `#/keys/${id}`);
        await page.getByText("There is no such resource.").waitFor();
        assert.equal(await page.getByText("Foreign").count(), 0);
    }
});

ownerTest("times are in the reader's zone, with UTC behind them", async ({ page, account }) => {
    const made = await stack.makeKey({
        name: "Timed",
        account_id: account.id,
        expires_at: "2031-07-01T22:30:00Z",
    });
    await goTo(page, `#/keys/${made.id}`);
    const shown = page.locator(".facts time[datetime='2031-07-01T22:30:00Z']");
    assert.equal(await shown.innerText(), "2 Jul 2031, 00:30");
    assert.match(await shown.getAttribute("title"), /2031-07-01 22:30:00 UTC/);
});
