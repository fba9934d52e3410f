// shared - one stack and one browser for all tests, and the data that they begin with
import { launch, open, signIn } from "./browser.mjs";
import { Stack } from "./stack.mjs";

// People whom httpd itself authenticates, as the end of conf/dashboard.conf.in has it.
// The password of "ada" is "lovelace", as htpasswd -s writes it.
const USERS = "ada:{SHA}MJgvYgf2tRctgBqviyzN0HpBdyY=\n";
const CONSOLE = `
LoadModule auth_basic_module /usr/lib/apache2/modules/mod_auth_basic.so
LoadModule authn_file_module /usr/lib/apache2/modules/mod_authn_file.so
Alias "/console/dashboard/settings.json" "\${ROOT}/dashboard/settings-server.json"
Alias "/console/dashboard/" "\${ROOT}/dashboard/"
<Location "/console/">
    AuthType Basic
    AuthName "console"
    AuthBasicProvider file
    AuthUserFile "{dir}/console.users"
    Require valid-user
</Location>
<Location "/console/v1/">
    SetHandler apikey-manage
    APIKeyMapUser "*" acct_default api-keys:read api-keys:write api-keys:delete tasks:read tasks:write
</Location>
`;

export const OWNER = [
    "api-keys:read",
    "api-keys:write",
    "api-keys:delete",
    "alerts:read",
    "alerts:write",
    "audit:read",
    "tasks:read",
    "tasks:write",
    "tasks:delete",
    "projects:read",
    "projects:write",
    "users:read",
    "users:write",
];

export let stack;
export let browser;

export async function begin() {
    stack = await Stack.start(CONSOLE, { "console.users": USERS });
    browser = await launch();
}

export async function end() {
    await browser?.close();
    await stack?.stop();
}

// Tests are collected here and run by main.test.mjs, some at a time: none relies on another.
export const tests = [];

export function test(name, run) {
    tests.push({ name, run });
}

// An account of its own with its owner's key, so that no test sees another's.
export async function makeOwner(fields = {}) {
    const account = await stack.makeAccount(fields);
    const owner = await stack.makeKey({ name: "Owner", permissions: OWNER, account_id: account.id });
    return { account, key: owner.key, id: owner.id };
}

// A test with a page that is signed in as the owner of a fresh account: f({page, account, key, id}).
export function ownerTest(name, f, { hash = "", options = {} } = {}) {
    test(name, async () => {
        const owner = await makeOwner();
        await pageTest(async (page) => {
            await signIn(page, owner.key, hash);
            await f({ page, ...owner });
        }, options);
    });
}

// Whatever a test is about: no script may have failed, and nothing broken the policy, meanwhile.
export async function pageTest(f, options = {}) {
    const page = await open(browser, stack, options);
    try {
        await f(page);
        if (page.trouble.length > 0) throw new Error(`the page is in trouble:\n${page.trouble.join("\n")}`);
    } finally {
        await page.context().close();
    }
}

// The clipboard is the browser's, and so shared by tests that run at a time.
let last = Promise.resolve();

export function copyKey(page) {
    const copy = last.then(async () => {
        await dialogOf(page).getByRole("button", { name: "Copy" }).click();
        await dialogOf(page).getByText("The key is on your clipboard.").waitFor();
        return page.evaluate(() => navigator.clipboard.readText());
    });
    last = copy.catch(() => {});
    return copy;
}

export const dialogOf = (page) => page.getByRole("dialog");

export async function act(page, name, action) {
    await page.getByRole("button", { name: `Actions for ${name}`, exact: true }).click();
    await page.getByRole("button", { name: action, exact: true }).click();
    await dialogOf(page).waitFor();
}
