// test_looks - every page and dialog, light and dark, on a desk and on a phone: axe-core finds
// nothing serious, all fits the screen, and a picture is kept
import assert from "node:assert/strict";
import { axe, DESK, goTo, PHONE, shot, signIn } from "./browser.mjs";
import { furniture } from "./furniture.mjs";
import { act, dialogOf, ownerTest, pageTest, stack, test } from "./shared.mjs";
import { wait } from "./stack.mjs";

const tooWide = (page) =>
    page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

// Looks at what is shown: findings of axe-core, and anything wider than the screen.
async function look(page, name) {
    const wide = await tooWide(page);
    const found = await axe(page);
    await shot(page, name, !name.startsWith("dialog"));
    assert.deepEqual(found, [], name);
    assert.ok(wide <= 0, `${name} is ${wide} pixels too wide`);
}

async function lookAtPages(page, app, suffix) {
    for (const [name, hash, ready] of [
        ["keys", "#/keys", "Generate New Key"],
        ["alerts", "#/alerts", "Revoked key used"],
        ["usage", "#/usage", "The figures as a table"],
        ["audit", "#/audit", "Changed a key"],
        ["key", `#/keys/${app.id}`, "198.51.100.0/24"],
    ]) {
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

const LOOKS = [
    ["light-desk", { colorScheme: "light", viewport: DESK }],
    ["dark-desk", { colorScheme: "dark", viewport: DESK }],
    ["light-phone", { colorScheme: "light", viewport: PHONE, hasTouch: true, isMobile: true }],
    ["dark-phone", { colorScheme: "dark", viewport: PHONE, hasTouch: true, isMobile: true }],
];

const WITH_DIALOGS = ["light-desk", "dark-phone"];

for (const [suffix, options] of LOOKS) {
    test(`axe-core finds nothing serious in any page, and all fit: ${suffix}`, () =>
        pageTest(async (page) => {
            const { owner, app } = await furniture();
            await page.goto(page.home);
            await page.getByRole("heading", { name: "Sign in" }).waitFor();
            await look(page, `sign-in-${suffix}`);
            await signIn(page, owner.key);
            await lookAtPages(page, app, suffix);
            if (WITH_DIALOGS.includes(suffix)) await lookAtDialogs(page, suffix);
        }, options));

    test(`axe-core finds nothing serious in accounts: ${suffix}`, () =>
        pageTest(async (page) => {
            await furniture();
            await signIn(page, stack.adminKey, "#/accounts");
            await page.getByText("Harbour Logistics").waitFor();
            await look(page, `accounts-${suffix}`);
            await page.getByRole("button", { name: "New account" }).click();
            await look(page, `dialog-account-${suffix}`);
        }, options));
}

test("axe-core would find what is wrong", () =>
    pageTest(async (page) => {
        await page.goto(page.home);
        await page.getByRole("heading", { name: "Sign in" }).waitFor();
        await page.evaluate(() => {
            document.querySelector("label").remove();
            document.querySelector(".hint").style.color = "#bbb";
        });
        assert.match((await axe(page)).join("\n"), /color-contrast/);
    }));

ownerTest(
    "on a phone the pages are behind a menu",
    async ({ page }) => {
        const menu = page.getByRole("button", { name: "Menu" });
        assert.equal(await page.getByRole("link", { name: "Alerts" }).count(), 0);
        await menu.click();
        assert.equal(await menu.getAttribute("aria-expanded"), "true");
        await page.getByRole("link", { name: "Alerts" }).click();
        await page.getByRole("heading", { name: "Alerts" }).waitFor();
        assert.equal(await page.getByRole("link", { name: "Usage" }).count(), 0);
    },
    { options: { viewport: PHONE, hasTouch: true, isMobile: true } },
);

ownerTest("nothing is cut off on any width, however long the words", async ({ page, account }) => {
    const name =
        "A name that is as long as a name may be and has aVeryLongWordInItThatDoesNotBreakByItselfAnywhere1234";
    const made = await stack.makeKey({
        name: name.slice(0, 100),
        description: "x".repeat(300),
        account_id: account.id,
    });
    for (const hash of ["#/keys", `#/keys/${made.id}`, "#/audit"]) {
        await goTo(page, hash === "#/keys" ? "#/keys?size=50" : hash);
        await page.getByText("aVeryLongWord").first().waitFor();
        for (const width of [320, 600, 961, 1100, 1250, 1920]) {
            await page.setViewportSize({ width, height: 800 });
            await wait(async () => (await tooWide(page)) <= 0, `${hash} to fit ${width} pixels`, 10);
        }
    }
});
