// test_signin - signing in and out by a key, and what the server's headers hold the page to
import assert from "node:assert/strict";
import { goTo, settled, signIn } from "./browser.mjs";
import { makeOwner, pageTest, stack, test } from "./shared.mjs";

const submit = (page) => page.getByRole("button", { name: "Sign in" }).click();

test("a wrong key is refused in words, and kept nowhere", () =>
    pageTest(async (page) => {
        await page.goto(page.home);
        await submit(page);
        await page.getByText("Paste an API key.").waitFor();
        for (const wrong of ["sk_live_nothing", "no key at all", "sk_live_" + "0".repeat(38), "schlüssel"]) {
            await page.getByLabel("API key").fill(wrong);
            await submit(page);
            await page.locator(".field-error p").waitFor();
            assert.equal(await page.getByLabel("API key").getAttribute("aria-invalid"), "true");
            assert.equal(await page.evaluate(() => sessionStorage.length), 0);
        }
    }));

test("a key opens the list, survives a reload, and stands in no address, cookie or lasting store", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        const asked = [];
        page.on("request", (request) => asked.push(request.url()));
        await signIn(page, `  ${owner.key}\n`);
        await page.getByRole("link", { name: "Owner" }).waitFor();
        await page.reload();
        await page.getByRole("link", { name: "Owner" }).waitFor();
        const places = await page.evaluate(() => [
            location.href,
            document.cookie,
            JSON.stringify(localStorage),
            document.referrer,
        ]);
        const secret = owner.key.slice(8);
        assert.ok(asked.length > 10, `${asked.length} requests seen`);
        for (const text of [...places, ...asked, await page.content()])
            assert.ok(!text.includes(secret), text.slice(0, 200));
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.getByRole("heading", { name: "Sign in" }).waitFor();
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
        await page.reload();
        await page.getByRole("heading", { name: "Sign in" }).waitFor();
    });
});

test("another tab is not signed in", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        await signIn(page, owner.key);
        const other = await page.context().newPage();
        await other.goto(page.home);
        await other.getByRole("heading", { name: "Sign in" }).waitFor();
    });
});

test("a key that is revoked meanwhile is signed out, with the reason", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        await signIn(page, owner.key);
        await stack.must("DELETE", `/v1/api-keys/${owner.id}`);
        await page.evaluate(() => {
            location.hash = "#/usage";
        });
        await page.getByText("The API key has been revoked.").waitFor();
        await page.getByRole("heading", { name: "Sign in" }).waitFor();
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
        assert.equal(await page.getByText("Owner").count(), 0);
    });
});

test("what a key may not see is not offered, and told where it is asked for", async () => {
    const made = await stack.makeKey({ permissions: ["tasks:read"] });
    await pageTest(async (page) => {
        await signIn(page, made.key);
        await page.getByText("Your key may not see keys").waitFor();
        assert.deepEqual(await page.locator("#places a").allInnerTexts(), ["API"]);
        await goTo(page, "#/audit");
        await page.getByText("This needs the permission audit:read.").waitFor();
        await goTo(page, "#/accounts");
        await page.getByText("This needs the permission admin:*.").waitFor();
    });
});

test("a reader sees keys and no way to change them", async () => {
    const made = await stack.makeKey({ name: "Reader", permissions: ["api-keys:read"] });
    await pageTest(async (page) => {
        await signIn(page, made.key);
        await page.getByRole("link", { name: "Reader" }).first().waitFor();
        assert.equal(await page.getByRole("button", { name: "Generate New Key" }).count(), 0);
        assert.equal(await page.getByRole("button", { name: /^Actions for/ }).count(), 0);
    });
});

test("an administrator is offered accounts, an owner is not", async () => {
    const owner = await makeOwner();
    for (const [key, count] of [
        [stack.adminKey, 1],
        [owner.key, 0],
    ]) {
        await pageTest(async (page) => {
            await signIn(page, key);
            assert.equal(await page.getByRole("link", { name: "Accounts and plans" }).count(), count);
        });
    }
});

test("every file comes with the headers of a strict server", async () => {
    const files = [
        "",
        "index.html",
        "settings.json",
        "looks.css",
        "page.css",
        "icon.svg",
        "js/main.js",
        "js/keys/list.js",
        "nothing-here",
    ];
    for (const file of files) {
        const { headers, status } = await fetch(`${stack.address}/dashboard/${file}`);
        assert.equal(status, file === "nothing-here" ? 404 : 200, file);
        const policy = headers.get("Content-Security-Policy");
        assert.match(policy, /^default-src 'none'; script-src 'self';/);
        assert.match(policy, /require-trusted-types-for 'script'/);
        assert.doesNotMatch(policy, /unsafe|\*|http/);
        for (const [name, value] of [
            ["X-Content-Type-Options", "nosniff"],
            ["X-Frame-Options", "DENY"],
            ["Referrer-Policy", "no-referrer"],
            ["Cross-Origin-Opener-Policy", "same-origin"],
            ["Cross-Origin-Embedder-Policy", "require-corp"],
            ["Cross-Origin-Resource-Policy", "same-origin"],
        ]) {
            assert.equal(headers.get(name), value, `${file}: ${name}`);
        }
    }
    const library = await fetch(`${stack.address}/javascript/chart.js/chart.min.js`);
    assert.equal(library.status, 200);
    assert.equal(library.headers.get("X-Content-Type-Options"), "nosniff");
});

test("the browser holds the page to the policy", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        await signIn(page, owner.key);
        const caught = await page.evaluate(async () => {
            const seen = [];
            addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
            const script = document.createElement("script");
            try {
                script.textContent = "window.inline = 1";
            } catch {
                seen.push("trusted-types");
            }
            document.body.append(script);
            try {
                document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.inline = 1'>");
            } catch {
                seen.push("trusted-types");
            }
            await fetch("http://127.0.0.1:1/").catch(() => seen.push("fetch"));
            await new Promise((resolve) => {
                setTimeout(resolve, 200);
            });
            return { seen, ran: window.inline };
        });
        assert.equal(caught.ran, undefined);
        assert.ok(caught.seen.filter((one) => one === "trusted-types").length === 2, caught.seen.join());
        assert.ok(caught.seen.includes("connect-src"), caught.seen.join());
        page.trouble.length = 0; // these breaches were ours
    });
});

test("an address that names no page shows the keys", async () => {
    const owner = await makeOwner();
    await pageTest(async (page) => {
        for (const hash of ["#/nonsense", "#/constructor", "#/keys?status=%zz&order=toString&size=9"]) {
            await (page.url().startsWith("http") ? goTo(page, hash) : signIn(page, owner.key, hash));
            await settled(page);
            await page.getByRole("heading", { name: "API", exact: true }).waitFor();
        }
    });
});
