// The visit counter and the page in Node: one INCR a page, and where DATABASE_URI is set one read of the users.
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import Redis from 'ioredis';
import mysql from 'mysql2/promise';

const { PORT, REDIS_URL, KEY, PAGE, DATABASE_URI } = process.env;
const store = new Redis(REDIS_URL, { enableAutoPipelining: true });
const database = DATABASE_URI && mysql.createPool({ uri: DATABASE_URI, connectionLimit: 4 });
const [beforeNumber, beforeUsers, rest = ''] = readFileSync(PAGE, 'utf8').split(/\{\{number\}\}|\{\{users\}\}/);
const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escaped = (text) => text.replace(/[&<>"']/g, (c) => entities[c]);

async function readUsers() {
    if (!database) return '';
    const [rows] = await database.execute('SELECT userName FROM users ORDER BY id');
    return rows.map((row) => `<p>${escaped(row.userName)}</p>\n`).join('');
}

const app = Fastify();

app.get('/', async (request, reply) => {
    const [number, users] = await Promise.all([store.incr(KEY), readUsers()]);
    reply.header('Content-Type', 'text/html; charset=utf-8').header('Cache-Control', 'no-store');
    return beforeNumber + number + beforeUsers + users + rest;
});

app.get('/api/v1/visits', async () => ({ total: Number(await store.get(KEY)) }));

await app.listen({ host: '127.0.0.1', port: Number(PORT) });
