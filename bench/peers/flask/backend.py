"""The users as JSON, read with SQLAlchemy and PyMySQL for each request."""

import os

from flask import Flask, jsonify
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, select

app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URI"].replace("mysql:", "mysql+pymysql:"))
users = Table("users", MetaData(), Column("id", Integer, primary_key=True), Column("userName", String(255)))
all_users = select(users.c.userName).order_by(users.c.id)


@app.get("/backend")
def list_users():
    with engine.connect() as connection:
        return jsonify([{"userName": row.userName} for row in connection.execute(all_users)])
