// test_guide - "Creating API Keys, via Dashboard": the guide's five steps, word for word
import assert from "node:assert/strict";
import { signIn } from "./browser.mjs";
import { copyKey, dialogOf, makeOwner, ownerTest, pageTest, stack, test } from "./shared.mjs";

async function fiveSteps(page) {
    // 1. Go to Settings → API
    await page.locator("#places").getByRole("heading", { name: "Settings" }).waitFor();
    await page.locator("#places").getByRole("link", { name: "API", exact: true }).click();
    // 2. Click "Generate New Key"
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    // 3. Configure key
    const dialog = dialogOf(page);
    await dialog.getByLabel("Name", { exact: true }).fill("Production App");
    await dialog.getByLabel("Description").fill("Main application backend");
    await dialog.getByRole("group", { name: "Permissions" }).first().getByLabel("Read/Write").check();
    await dialog.getByRole("group", { name: "Rate Limit" }).getByLabel("Default").check();
    await dialog.getByRole("group", { name: "Expires" }).getByRole("combobox").selectOption({ label: "Never" });
    // 4. Click "Create Key"
    await dialog.getByRole("button", { name: "Create Key" }).click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    // 5. Copy immediately (shown only once!)
    await dialog.getByText("Copy immediately: shown only once!").waitFor();
    return copyKey(page);
}

ownerTest("five steps lead to a key that works", async ({ page, account }) => {
    const key = await fiveSteps(page);
    assert.match(key, /^sk_live_[0-9A-Za-z]{38}$/);
    assert.equal((await stack.call("GET", "/v1/tasks", undefined, key)).status, 200);
    assert.equal((await stack.call("POST", "/v1/tasks", {}, key)).status, 201);
    assert.equal((await stack.call("DELETE", "/v1/tasks/1", undefined, key)).status, 403);
    const { data } = await stack.must("GET", `/v1/api-keys?account_id=${account.id}&search=Production`);
    assert.equal(data.length, 1);
    assert.equal(data[0].name, "Production App");
    assert.equal(data[0].description, "Main application backend");
    assert.deepEqual([...data[0].permissions].sort(), [
        "projects:read",
        "projects:write",
        "tasks:read",
        "tasks:write",
        "users:read",
        "users:write",
    ]);
    assert.equal(data[0].rate_limit, null);
    assert.equal(data[0].expires_at, null);
    assert.equal(data[0].environment, "live");
});

ownerTest("the full key is shown once and is then nowhere in the page", async ({ page }) => {
    const key = await fiveSteps(page);
    await dialogOf(page).getByRole("button", { name: "Done" }).click();
    await page.getByRole("link", { name: "Production App" }).waitFor();
    const left = await page.evaluate(() => [
        document.documentElement.outerHTML,
        JSON.stringify(sessionStorage),
        JSON.stringify(localStorage),
        location.href,
        ...[...document.querySelectorAll("input")].map((input) => input.value),
    ]);
    for (const text of left) assert.ok(!text.includes(key.slice(8)));
    await page.getByRole("link", { name: "Production App" }).click();
    await page.getByRole("heading", { name: "About this key" }).waitFor();
    assert.ok(!(await page.content()).includes(key.slice(8)));
});

ownerTest("a key that was not copied is not lost by Escape", async ({ page }) => {
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    const dialog = dialogOf(page);
    await dialog.getByLabel("Name", { exact: true }).fill("Not copied");
    await dialog.getByRole("button", { name: "Create Key" }).click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    for (let press = 0; press < 4; press += 1) await page.keyboard.press("Escape");
    await dialog.getByText("You have not copied the key").waitFor();
    await dialog.getByRole("button", { name: "Go back" }).click();
    assert.match(await dialog.getByLabel("The full key").inputValue(), /^sk_live_/);
    await dialog.getByRole("button", { name: "Done" }).click();
    await dialog.getByRole("button", { name: "Close anyway" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Not copied" }).waitFor();
});

test("where the clipboard is out of reach, the key is there to be copied by hand", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        await page.addInitScript(() => {
            Object.defineProperty(navigator, "clipboard", { value: undefined });
            document.execCommand = () => false;
        });
        await signIn(page, owner.key);
        await page.getByRole("button", { name: "Generate New Key" }).first().click();
        await page.getByLabel("Name", { exact: true }).fill("By hand");
        await page.getByRole("button", { name: "Create Key" }).click();
        await page.getByRole("button", { name: "Copy" }).click();
        await page.getByText("press Ctrl+C").waitFor();
        const selected = await page
            .getByLabel("The full key")
            .evaluate((input) => input.selectionEnd - input.selectionStart);
        assert.equal(selected, 46);
    });
});
