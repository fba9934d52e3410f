// stack - a real stack of the product: the shipped scripts and configuration
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile, chmod } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const ROOT = path.resolve(
    import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname),
    "../..",
);
export const BUILD = path.resolve(ROOT, process.env.BUILD ?? "build");

async function freePort() {
    const server = createServer();
    await new Promise((resolve) => {
        server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address();
    await new Promise((resolve) => {
        server.close(resolve);
    });
    return port;
}

export async function wait(condition, what, seconds = 30) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const value = await condition();
        if (value) return value;
        if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
        await new Promise((resolve) => {
            setTimeout(resolve, 100);
        });
    }
}

export class Stack {
    // site: directives that are added to the shipped configuration; {dir} stands for its folder
    static async start(site = "", files = {}) {
        const stack = new Stack();
        stack.top = await mkdtemp("/tmp/apikey-browser-");
        await chmod(stack.top, 0o755);
        stack.dir = path.join(stack.top, "run");
        stack.port = await freePort();
        stack.address = `http://127.0.0.1:${stack.port}`;
        await mkdir(path.join(stack.dir, "conf.d"), { recursive: true });
        for (const [name, text] of Object.entries(files))
            await writeFile(path.join(stack.dir, name), text, { mode: 0o644 });
        await writeFile(path.join(stack.dir, "conf.d", "test.conf"), site.replaceAll("{dir}", stack.dir));
        await stack.command("start");
        stack.adminKey = (await readFile(path.join(stack.dir, "admin.key"), "utf8")).trim();
        return stack;
    }

    get environment() {
        return {
            ...process.env,
            RUN_DIR: this.dir,
            PORT: String(this.port),
            BUILD,
            DB: "sqlite3",
            RATE_STORE: "shm",
        };
    }

    async command(name) {
        try {
            await run(path.join(ROOT, "conf/stack"), [name], { env: this.environment, cwd: ROOT });
        } catch (error) {
            throw new Error(`conf/stack ${name}: ${error.stdout}${error.stderr}`);
        }
    }

    async stop() {
        await this.command("stop");
        await rm(this.top, { recursive: true, force: true });
    }

    // A request; the answer's JSON, if any, stands in .body
    async call(method, where, body, key = this.adminKey, headers = {}) {
        const answer = await fetch(this.address + where, {
            method,
            headers: {
                ...(key ? { Authorization: `Bearer ${key}` } : {}),
                ...(body === undefined ? {} : { "Content-Type": "application/json" }),
                ...headers,
            },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        const text = await answer.text();
        return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : null };
    }

    async must(method, where, body, key) {
        const answer = await this.call(method, where, body, key);
        if (answer.status >= 300)
            throw new Error(`${method} ${where}: ${answer.status} ${JSON.stringify(answer.body)}`);
        return answer.body;
    }

    makeKey(fields) {
        return this.must("POST", "/v1/api-keys", { name: "Test key", permissions: ["tasks:read"], ...fields });
    }

    makeAccount(fields) {
        return this.must("POST", "/v1/accounts", { name: "Test account", plan: "professional", ...fields });
    }

    async sql(text) {
        const done = await run(
            path.join(ROOT, "conf/as-service"),
            ["sqlite3", "-cmd", ".timeout 10000", path.join(this.dir, "apikey.db"), text],
            { env: this.environment },
        );
        return done.stdout;
    }
}
