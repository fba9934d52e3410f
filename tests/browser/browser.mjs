// browser - Debian's Chromium, and pages of it that tell what went wrong in them
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";
import { BUILD } from "./stack.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
export const SHOTS = path.join(BUILD, "screenshots");
export const DESK = { width: 1360, height: 900 };
export const PHONE = { width: 390, height: 844 };

export async function launch() {
    await mkdir(SHOTS, { recursive: true });
    return chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
}

// A page that notes errors of scripts and breaches of the policy in page.trouble.
export async function open(browser, stack, options = {}) {
    const context = await browser.newContext({
        viewport: DESK,
        locale: "en-GB",
        timezoneId: "Europe/Berlin",
        permissions: ["clipboard-read", "clipboard-write"],
        ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    page.trouble = [];
    page.on("pageerror", (error) => page.trouble.push(`error: ${error.message}`));
    page.on("console", (message) => {
        const text = message.text();
        // The browser itself tells of every refused request; the tests look at those by what is shown.
        if (message.type() === "error" && !text.startsWith("Failed to load resource")) page.trouble.push(text);
    });
    page.home = `${stack.address}/dashboard/`;
    return page;
}

export async function signIn(page, key, hash = "") {
    await page.goto(page.home + hash);
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator("#places").waitFor({ state: "attached" });
    await settled(page);
}

export async function goTo(page, hash) {
    await page.evaluate((to) => {
        location.hash = to;
    }, hash);
    await settled(page);
}

// Nothing is being loaded any more.
export async function settled(page) {
    await page.locator("h1").first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".loading"));
}

// Serious and critical findings of axe-core, as text.
export async function axe(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const where = (one) => one.nodes.map((node) => `  ${node.target} ${node.failureSummary}`);
    return found.violations
        .filter((one) => ["serious", "critical"].includes(one.impact))
        .map((one) => [`${one.id}: ${one.help}`, ...where(one)].join("\n"));
}

export async function shot(page, name, fullPage = true) {
    await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage, animations: "disabled" });
}
