// test_keyboard - the dashboard without a mouse: every step, and where the focus goes
import assert from "node:assert/strict";
import { dialogOf, ownerTest } from "./shared.mjs";
import { wait } from "./stack.mjs";

const focused = (page) =>
    page.evaluate(() => {
        const node = document.activeElement;
        return (node.getAttribute("aria-label") ?? node.labels?.[0]?.textContent ?? node.textContent).trim();
    });

async function tabTo(page, name, most = 60) {
    for (let n = 0; n < most; n += 1) {
        await page.keyboard.press("Tab");
        if ((await focused(page)) === name) return;
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
    await wait(async () => (await focused(page)) === "Name", "the focus in the dialog");
    for (let n = 0; n < 80; n += 1) {
        await page.keyboard.press("Tab");
        assert.ok(
            await page.evaluate(
                () =>
                    document.activeElement === document.body
                    || document.activeElement.closest("dialog") !== null,
            ),
            "the focus left the dialog",
        );
    }
    await page.keyboard.press("Escape");
    await dialogOf(page).waitFor({ state: "detached" });
    assert.equal(await focused(page), "Actions for Owner");
});

ownerTest("the heading takes the focus when the page changes, so that it is read out", async ({ page }) => {
    await page.getByRole("link", { name: "Audit log" }).click();
    await wait(async () => (await focused(page)) === "Audit log", "the focus");
    await page.goBack();
    await wait(async () => (await focused(page)) === "API", "the focus");
    assert.equal(await page.title(), "API - API keys");
    assert.equal(await page.locator("#places a[aria-current=page]").innerText(), "API");
});
