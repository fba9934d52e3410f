// furniture - an account as a customer may have it, with a month of figures, for pictures
import { OWNER, stack } from "./shared.mjs";
import { wait } from "./stack.mjs";

async function furnish() {
    const account = await stack.makeAccount({
        name: "Harbour Logistics",
        contact: "ops@harbour.example",
        quota_month: 150000,
    });
    const make = (name, description, permissions, more = {}) =>
        stack.makeKey({ name, description, permissions, account_id: account.id, ...more });
    const all = ["tasks:read", "tasks:write", "projects:read", "projects:write", "users:read"];
    const owner = await make("Account owner", "Manages the other keys", OWNER);
    const app = await make("Production App", "Main application backend", all, {
        expires_at: "2031-01-15T12:00:00Z",
        rate_limit: { per_hour: 90, per_minute: 60 },
    });
    const phone = await make("Mobile App", "Sync service of the phone app", ["tasks:read", "tasks:write"]);
    await make("Staging", "", ["tasks:read", "users:read"], { environment: "test" });
    await make("Nightly export", "Moves yesterday's tasks to the warehouse", ["tasks:read"], {
        expires_at: "2030-06-01T06:00:00Z",
    });
    const feed = await make("Partner feed", "Read access for the shipping partner", ["tasks:read"]);
    for (let n = 0; n < 12; n += 1)
        await stack.call("GET", "/v1/tasks", undefined, n % 3 ? app.key : phone.key, {
            "X-Forwarded-For": n < 9 ? "198.51.100.7" : "203.0.113.9",
        });
    await stack.call("DELETE", "/v1/tasks/1", undefined, app.key);
    await stack.must("PATCH", `/v1/api-keys/${app.id}`, { permissions: all.slice(0, 3) });
    await stack.must("DELETE", `/v1/api-keys/${feed.id}`);
    for (let n = 0; n < 4; n += 1)
        await stack.call("GET", "/v1/tasks", undefined, feed.key, { "X-Forwarded-For": "203.0.113.77" });
    await wait(
        async () => (await stack.must("GET", `/v1/alerts?account_id=${account.id}`)).data.length >= 2,
        "alerts",
    );
    await wait(
        async () => (await stack.must("GET", `/v1/api-keys/${app.id}`)).usage.requests_today === 8,
        "the figures",
    );
    await history(account, [app, phone]);
    return { account, owner, app };
}

// Figures of the days before, which no test could wait for.
function history(account, keys) {
    const rows = keys
        .map(
            ({ id }, n) => `
        WITH RECURSIVE h(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM h WHERE i < 700)
        INSERT INTO usage_hour SELECT '${id}', (unixepoch() / 3600 - i) * 3600, 'ok', '${account.id}', 'live',
            20 + (i * 37 + ${n} * 11) % 29
            + CASE WHEN (unixepoch() / 3600 - i) % 24 BETWEEN 7 AND 18 THEN 38 ELSE 0 END FROM h;
        WITH RECURSIVE h(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM h WHERE i < 700)
        INSERT INTO usage_hour SELECT '${id}', (unixepoch() / 3600 - i) * 3600, 'rate_limit_exceeded',
            '${account.id}', 'live',
            1 + i % 9 FROM h WHERE i % 4 = ${n};`,
        )
        .join("");
    return stack.sql(`${rows}
        INSERT INTO usage_day
            SELECT key_id, start - start % 86400, decision, account_id, environment, sum(requests)
            FROM usage_hour WHERE account_id = '${account.id}' GROUP BY 1, 2, 3
            ON CONFLICT (key_id, start, decision) DO UPDATE SET requests = excluded.requests;
        UPDATE usage_month SET requests = (SELECT sum(requests) FROM usage_day
            WHERE account_id = '${account.id}' AND decision = 'ok'
            AND start >= unixepoch('now', 'start of month')) WHERE account_id = '${account.id}';`);
}

let furnished = null;

export function furniture() {
    furnished ??= furnish();
    return furnished;
}
