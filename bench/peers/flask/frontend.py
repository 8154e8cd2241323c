"""The visit counter and the page in Flask: one INCR a page, and where BACKEND_URL is set one read of the users."""

import os

import redis
import requests
from flask import Flask, jsonify

app = Flask(__name__)
store = redis.Redis.from_url(os.environ["REDIS_URL"])
key = os.environ["KEY"]
backend_url = os.environ.get("BACKEND_URL")
backend = requests.Session()
app.jinja_env.keep_trailing_newline = True
with open(os.environ["PAGE"], encoding="utf-8") as file:
    page = app.jinja_env.from_string(
        file.read().replace("{{users}}", "{% for user in users %}<p>{{ user.userName }}</p>\n{% endfor %}"))


@app.get("/")
def home():
    number = store.incr(key)
    users = backend.get(backend_url, timeout=10).json() if backend_url else []
    return page.render(number=number, users=users), {"Cache-Control": "no-store"}


@app.get("/api/v1/visits")
def total():
    return jsonify(total=int(store.get(key) or 0))
