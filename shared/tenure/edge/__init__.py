"""Tenure's HTTP edge: what a service's `api.py` is written with."""

from tenure.edge.access import Caller, caller
from tenure.edge.bodies import After, Body, Day, Id, MemberId, Text, Words
from tenure.edge.catalogue import Catalogue
from tenure.edge.http import App, create_app, json_response
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.openapi import answers
from tenure.edge.paging import Cursor, Limit, Page, decode_cursor, encode_cursor, page_of
from tenure.edge.problems import Problem, problem_of
from tenure.edge.serving import serve

__all__ = [
    "After",
    "App",
    "Body",
    "Caller",
    "Catalogue",
    "Cursor",
    "Day",
    "Id",
    "IdempotencyKey",
    "Limit",
    "MemberId",
    "Page",
    "Problem",
    "Text",
    "Words",
    "answers",
    "caller",
    "create_app",
    "decode_cursor",
    "encode_cursor",
    "json_response",
    "page_of",
    "problem_of",
    "serve",
]
