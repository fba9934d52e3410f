// test_hostile - markup and scripts in every text field, and other sites that try a user's rights
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { axe, goTo, settled, signIn } from "./browser.mjs";
import { act, dialogOf, makeOwner, ownerTest, pageTest, stack, test } from "./shared.mjs";

const PAYLOADS = [
    '<img src=x onerror="window.caught=1">',
    '"><script>window.caught=1</script>',
    "javascript:window.caught=1",
    "'-window.caught-'",
    "{{constructor.constructor('window.caught=1')()}}",
    "<svg/onload=window.caught=1>&lt;b&gt;",
];

async function untouched(page) {
    assert.equal(await page.evaluate(() => window.caught), undefined);
    assert.equal(
        await page
            .locator(
                "main img:not([src='icon.svg']), main script, dialog img, dialog script, main b, svg[onload]",
            )
            .count(),
        0,
    );
}

ownerTest("markup in a key's name and description is shown as it was typed", async ({ page }) => {
    for (const payload of PAYLOADS) {
        await page.getByRole("button", { name: "Generate New Key" }).first().click();
        const dialog = dialogOf(page);
        await dialog.getByLabel("Name", { exact: true }).fill(payload);
        await dialog.getByLabel("Description").fill(`${payload}\n${payload}`);
        await dialog.getByRole("button", { name: "Create Key" }).click();
        await page.getByRole("heading", { name: "Your new key" }).waitFor();
        await dialog.getByText(payload).first().waitFor();
        await untouched(page);
        await dialog.getByLabel("The full key").press("Control+c");
        await dialog.getByRole("button", { name: "Done" }).click();
        await dialog.waitFor({ state: "detached" });
        await page.locator("tbody .key-name", { hasText: payload }).first().waitFor();
    }
    for (const name of PAYLOADS.slice(0, 2)) {
        for (const action of ["Edit", "Rotate", "Revoke"]) {
            await act(page, name, action);
            await untouched(page);
            await page.keyboard.press("Escape");
            await dialogOf(page).waitFor({ state: "detached" });
        }
    }
    await page.locator("tbody .key-name").first().click();
    await page.getByRole("heading", { name: PAYLOADS.at(-1) }).waitFor();
    await page.getByLabel("Audit trail").getByText("Created a key").waitFor();
    await untouched(page);
    await goTo(page, "#/audit");
    await page.getByText(PAYLOADS[0]).first().waitFor();
    await untouched(page);
});

ownerTest("markup in the other fields and in addresses stays text", async ({ page }) => {
    for (const payload of PAYLOADS) {
        await goTo(page, "#/keys");
        await page.getByLabel("Search keys").fill(payload);
        await page.getByText("No key fits").waitFor();
        await untouched(page);
        await goTo(page, `#/keys?search=${encodeURIComponent(payload)}&status=${encodeURIComponent(payload)}`);
        await settled(page);
        await goTo(page, `#/keys/${encodeURIComponent(payload)}`);
        await settled(page);
        await goTo(
            page,
            `#/alerts?kind=${encodeURIComponent(payload)}&severity=${encodeURIComponent(payload)}`,
        );
        await settled(page);
        await goTo(page, `#/audit?target=${encodeURIComponent(payload)}&action=${encodeURIComponent(payload)}`);
        await settled(page);
        await untouched(page);
    }
    await goTo(page, "#/keys");
    await page.getByRole("button", { name: "Generate New Key" }).first().click();
    await dialogOf(page).getByText("More options").click();
    await dialogOf(page).getByLabel("Name", { exact: true }).fill("Networks");
    await dialogOf(page).getByLabel("Allowed networks").fill(PAYLOADS[0]);
    await dialogOf(page).getByRole("button", { name: "Create Key" }).click();
    await dialogOf(page).getByText("Must be an address or a network").first().waitFor();
    await untouched(page);
});

ownerTest(
    "markup that reached an alert or the audit log by another way stays text",
    async ({ page, account, id }) => {
        const quoted = PAYLOADS[0].replaceAll("'", "''");
        const details = JSON.stringify({
            [PAYLOADS[0]]: PAYLOADS[1],
            nested: { a: PAYLOADS[5] },
            expires_at: PAYLOADS[0],
            name_at: { from: null, to: 7 },
        }).replaceAll("'", "''");
        await stack.sql(`
        INSERT INTO alerts
            (id, kind, severity, account_id, key_id, subject, message, details, first_seen, last_seen)
            VALUES ('alert_${account.id.slice(5)}', '${quoted}', '${quoted}', '${account.id}', '${id}',
                    '${quoted}${id}', '${quoted}', '${details}', 1, 2);
        INSERT INTO audit_log (at, actor, account_id, action, target, address, details)
        VALUES (1, '${quoted}', '${account.id}', '${quoted}', '${quoted}', '${quoted}', '${details}');`);
        await goTo(page, "#/alerts");
        await page.locator("[data-alert]").getByText(PAYLOADS[0]).first().waitFor();
        await untouched(page);
        await goTo(page, "#/audit");
        await page.getByText(PAYLOADS[1]).first().waitFor();
        await untouched(page);
        await goTo(page, `#/keys/${id}`);
        await page.getByLabel("Alerts", { exact: true }).getByText(PAYLOADS[0]).first().waitFor();
        await untouched(page);
    },
);

test("markup in an account's name stays text", () =>
    pageTest(async (page) => {
        for (const name of PAYLOADS.slice(0, 2)) await stack.makeAccount({ name });
        await signIn(page, stack.adminKey, "#/accounts");
        await page.getByText(PAYLOADS[0], { exact: true }).first().waitFor();
        await page
            .getByRole("button", { name: `Edit ${PAYLOADS[1]}` })
            .first()
            .click();
        await dialogOf(page).waitFor();
        await untouched(page);
    }));

test("markup in the field for a key stays there", () =>
    pageTest(async (page) => {
        for (const payload of PAYLOADS) {
            await page.goto(page.home);
            await page.getByLabel("API key").fill(payload);
            await page.getByRole("button", { name: "Sign in" }).click();
            await page.locator(".field-error p").waitFor();
            await untouched(page);
        }
    }));

// --- people whom httpd authenticates ------------------------------------------------------

const ADA = { httpCredentials: { username: "ada", password: "lovelace" } };

async function openConsole(page) {
    await page.goto(`${stack.address}/console/dashboard/`);
    await page.getByText("Signed in by this server").waitFor();
    await settled(page);
}

test("a person with a password makes their first key without one", () =>
    pageTest(async (page) => {
        await openConsole(page);
        assert.equal(await page.getByRole("button", { name: "Sign out" }).count(), 0);
        const name = `First ${Date.now()}`;
        await page.getByRole("button", { name: "Generate New Key" }).first().click();
        await dialogOf(page).getByLabel("Name", { exact: true }).fill(name);
        await dialogOf(page).getByRole("button", { name: "Create Key" }).click();
        await page.getByRole("heading", { name: "Your new key" }).waitFor();
        const key = await dialogOf(page).getByLabel("The full key").inputValue();
        assert.equal((await stack.call("GET", "/v1/tasks", undefined, key)).status, 200);
        const { data } = await stack.must("GET", `/v1/api-keys?search=${encodeURIComponent(name)}`);
        assert.equal(data[0].created_by, "user:ada");
        assert.deepEqual(await axe(page), []);
    }, ADA));

test("without the password there is no console", async () => {
    for (const where of ["/console/dashboard/", "/console/v1/api-keys"]) {
        assert.equal((await fetch(stack.address + where)).status, 401);
    }
});

// A page of another site, in the browser of a person who has given the password.
function evilSite() {
    const server = createServer((request, answer) => {
        answer.setHeader("Content-Type", "text/html");
        answer.end("<!DOCTYPE html><title>Another site</title><form method=post enctype=text/plain></form>");
    });
    return new Promise((resolve) => {
        server.listen(0, "127.0.0.1", () => resolve(server));
    });
}

for (const [host, whose] of [
    ["127.0.0.1", "another port"],
    ["localhost", "another site"],
]) {
    test(`a page of ${whose} changes nothing in a visitor's name`, async () => {
        const server = await evilSite();
        const name = `Forged from ${host}`;
        const victim = await stack.makeKey({ name: `Victim of ${host}` });
        try {
            await pageTest(async (page) => {
                await openConsole(page);
                const target = `${stack.address}/console/v1/api-keys`;
                const answers = [];
                page.context().on(
                    "response",
                    (answer) =>
                        answer.url().startsWith(target)
                        && answer.request().method() !== "GET"
                        && answers.push(answer.status()),
                );
                const evil = await page.context().newPage();
                await evil.goto(`http://${host}:${server.address().port}/`);
                await evil.evaluate(
                    async ({ url, body, id }) => {
                        const attempts = [
                            [url, { method: "POST", mode: "no-cors", body }],
                            [
                                url,
                                {
                                    method: "POST",
                                    mode: "no-cors",
                                    body: new Blob([body], { type: "text/plain" }),
                                },
                            ],
                            [
                                url,
                                {
                                    method: "POST",
                                    mode: "cors",
                                    body,
                                    headers: { "Content-Type": "application/json" },
                                },
                            ],
                            [`${url}/${id}/rotate`, { method: "POST", mode: "no-cors" }],
                            [`${url}/${id}`, { method: "DELETE" }],
                        ];
                        for (const [where, options] of attempts) {
                            await fetch(where, { credentials: "include", ...options }).catch(() => {});
                        }
                    },
                    { url: target, body: JSON.stringify({ name }), id: victim.id },
                );
                const left = evil.waitForURL(`${target}**`);
                await evil.evaluate(
                    ({ url, body }) => {
                        const form = document.querySelector("form");
                        const input = document.createElement("input");
                        form.action = url;
                        input.name = `${body.slice(0, -1)},"description":"`;
                        input.value = '"}';
                        form.append(input);
                        form.submit();
                    },
                    { url: target, body: JSON.stringify({ name }) },
                );
                await left;
                await evil.waitForLoadState();
                assert.ok(answers.length >= 3, `${answers.length} answers seen`);
                for (const status of answers) assert.ok(status >= 400, `${status}`);
            }, ADA);
            const { data } = await stack.must(
                "GET",
                `/v1/api-keys?search=${encodeURIComponent("Forged from")}&status=all`,
            );
            assert.deepEqual(data, []);
            const still = await stack.must("GET", `/v1/api-keys/${victim.id}`);
            assert.deepEqual([still.status, still.rotated_to], ["active", null]);
        } finally {
            server.close();
        }
    });
}

test("no page of another site can frame the dashboard", async () => {
    const owner = await makeOwner();
    const server = await evilSite();
    try {
        await pageTest(async (page) => {
            await page.goto(`http://127.0.0.1:${server.address().port}/`);
            const shown = await page.evaluate(async (home) => {
                const frame = document.createElement("iframe");
                frame.src = home;
                document.body.append(frame);
                await new Promise((resolve) => {
                    frame.onload = resolve;
                });
                return frame.contentDocument === null;
            }, page.home);
            assert.ok(shown);
            const framed = page.frames().find((frame) => frame !== page.mainFrame());
            assert.equal(await framed.locator("#frame").count(), 0);
            page.trouble.length = 0; // the browser tells of what it refused
            await signIn(page, owner.key);
        });
    } finally {
        server.close();
    }
});
