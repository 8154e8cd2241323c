// A real Tally of the test's own: Redis, MariaDB, backend and frontends on free ports, private data.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 30000;
const bin = process.env.TALLY_BIN || 'build/release';
const asRoot = userInfo().uid === 0 ? ['--user=root'] : [];

const accountsSql = `CREATE DATABASE IF NOT EXISTS tally CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'tally'@'127.0.0.1' IDENTIFIED BY 'tally';
GRANT ALL ON tally.* TO 'tally'@'127.0.0.1';
`;

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

/** Waits until `look` answers true; says what it waited for when that takes too long. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await look())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await pause(20);
  }
}

class Part {
  constructor(stack, name, port, command, args, env = {}) {
    Object.assign(this, { stack, name, port, command, args, env });
  }

  async start() {
    const log = openSync(join(this.stack.directory, `${this.name}.log`), 'a');
    this.process = spawn(this.command, this.args,
      { stdio: ['ignore', log, log], env: { PATH: process.env.PATH, ...this.env } });
    this.ended = new Promise((resolve) => this.process.once('exit', (status) => resolve(status)));
    this.process.once('exit', () => { this.process = null; });
    await until(`${this.name} on port ${this.port}`, () => {
      if (!this.process) throw new Error(`${this.name} ended; see ${this.stack.directory}`);
      return answers(this.port);
    });
  }

  async stop() {
    if (!this.process) return null;
    this.process.kill('SIGTERM');
    return this.ended;
  }
}

function mustRun(command, args, env = {}) {
  const run = spawnSync(command, args,
    { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } });
  if (run.status !== 0) throw new Error(`${command} ${args[0]}: ${run.stdout}${run.stderr}`);
}

/** A backend made of one answer, for what a real one says only rarely. */
export class FakeBackend {
  async start(body) {
    this.server = createHttpServer((_, response) => response.end(body));
    await new Promise((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    this.url = `http://127.0.0.1:${this.server.address().port}/backend`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export class Stack {
  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'tally-browser.'));
    this.frontends = [];
  }

  async #makeDatabase(users) {
    const data = join(this.directory, 'data');
    const init = join(this.directory, 'init.sql');
    // A starting server deletes what it takes for its own leftovers in a shared tmpdir.
    const tmp = join(this.directory, 'tmp');
    mkdirSync(tmp);
    mustRun('mariadb-install-db', ['--no-defaults', `--datadir=${data}`, `--tmpdir=${tmp}`,
      '--skip-test-db',
      '--auth-root-authentication-method=normal', '--innodb-log-file-size=4M', ...asRoot]);
    const port = await freePort();
    this.database = new Part(this, 'mariadb', port, 'mariadbd', ['--no-defaults', ...asRoot,
      `--datadir=${data}`, `--tmpdir=${tmp}`, `--socket=${this.directory}/sock`, `--port=${port}`,
      '--bind-address=127.0.0.1', '--skip-name-resolve', `--init-file=${init}`,
      '--innodb-buffer-pool-size=8M', '--innodb-log-file-size=4M']);
    this.databaseUri = `mysql://tally:tally@127.0.0.1:${port}/tally`;
    writeFileSync(init, accountsSql);
    await this.database.start();
    const env = { DATABASE_URI: this.databaseUri };
    mustRun(`${bin}/tally-backend`, ['--migrate'], env);
    mustRun(`${bin}/tally-backend`, ['--seed'], env);
    await this.database.stop();
    const values = users.map((name) => `('${name.replaceAll("'", "''")}')`).join(',');
    writeFileSync(init, `SET NAMES utf8mb4;\nINSERT INTO tally.users (userName) VALUES ${values};\n`);
    await this.database.start();
  }

  /** Starts everything; `users` stand in the table behind the five that --seed puts there. */
  async start(users) {
    const redisPort = await freePort();
    this.redis = new Part(this, 'redis', redisPort, 'redis-server', ['--port', `${redisPort}`,
      '--bind', '127.0.0.1', '--dir', this.directory, '--save', '', '--appendonly', 'yes',
      '--appendfsync', 'always']);
    this.redisUrl = `redis://127.0.0.1:${redisPort}/0`;
    await this.redis.start();
    await this.#makeDatabase(users);
    const port = await freePort();
    this.backend = new Part(this, 'backend', port, `${bin}/tally-backend`, [],
      { DATABASE_URI: this.databaseUri, PORT: `${port}`, LISTEN_ADDRESS: '127.0.0.1' });
    await this.backend.start();
    this.backendUrl = `http://127.0.0.1:${port}/backend`;
  }

  /** A frontend in front of it all, or of what `env` names; returns its address. */
  async frontend(env = {}) {
    const port = await freePort();
    const part = new Part(this, `frontend-${this.frontends.length}`, port, `${bin}/tally-frontend`,
      [], { REDIS_URL: this.redisUrl, BACKEND_URL: this.backendUrl, POD_NAME: 'tally-7d9c5-x2x4q',
        RELEASE: '1.4.0', PORT: `${port}`, LISTEN_ADDRESS: '127.0.0.1', ...env });
    this.frontends.push(part);
    await part.start();
    const address = `http://127.0.0.1:${port}`;
    await this.untilVerbose(address, 'redis: up');
    return address;
  }

  /** Makes the counter go on from here; it never goes back. */
  countOnFrom(number) {
    mustRun('redis-cli', ['-p', `${this.redis.port}`, 'set', '{tally}:visits', `${number}`]);
  }

  /** Waits until the frontend says this of its stores. */
  async untilVerbose(address, line) {
    await until(`${address} to say "${line}"`, async () =>
      (await (await fetch(`${address}/readyz?verbose`)).text()).split('\n').includes(line));
  }

  /** Stops all that runs; returns what ended with another status than 0. */
  async stop() {
    const parts = [...this.frontends, this.backend, this.redis, this.database].filter(Boolean);
    const bad = [];
    for (const part of parts) {
      const status = await part.stop();
      if (status) bad.push(`${part.name} ended with ${status}`);
    }
    rmSync(this.directory, { recursive: true, force: true });
    return bad;
  }
}
