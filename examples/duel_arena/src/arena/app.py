"""The application: who is there, whom they let duel, and whom they have seen win."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, status
from pydantic import BaseModel, Field, model_validator

from arena.duels import rank, rate
from arena.sessions.middleware import SessionMiddleware
from arena.sessions.stores import SessionStore

Name = Annotated[str, Field(min_length=1, max_length=80)]


class Visitor(BaseModel):
    name: Name


class Duel(BaseModel):
    left: Name
    right: Name

    @model_validator(mode="after")
    def _be_two(self) -> Duel:
        if self.left == self.right:
            raise ValueError("a duel takes two")
        return self


class Vote(BaseModel):
    winner: Literal["left", "right"]


class Rank(BaseModel):
    model: str
    rating: int


async def require_visitor(request: Request) -> str:
    if "visitor" not in request.session:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "log in first")
    return str(request.session["visitor"])


router = APIRouter()
for_visitors = APIRouter(dependencies=[Depends(require_visitor)])


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.post("/login")
async def log_in(visitor: Visitor, request: Request) -> Visitor:
    request.session.clear()
    request.session["visitor"] = visitor.name
    return visitor


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(request: Request) -> None:
    request.session.clear()


@router.get("/me")
async def me(name: Annotated[str, Depends(require_visitor)]) -> Visitor:
    return Visitor(name=name)


@for_visitors.post("/duels", status_code=status.HTTP_201_CREATED)
async def start_duel(duel: Duel, request: Request) -> Duel:
    request.session["duel"] = duel.model_dump()
    return duel


@for_visitors.post("/duels/vote")
async def vote(vote: Vote, request: Request) -> list[Rank]:
    duel = request.session.pop("duel", None)
    if duel is None:
        raise HTTPException(status.HTTP_409_CONFLICT, "there is no duel")
    loser = "right" if vote.winner == "left" else "left"
    ratings = request.session.setdefault("ratings", {})
    ratings.update(rate(ratings, duel[vote.winner], duel[loser]))
    return _show(ratings)


@for_visitors.get("/ratings")
async def show_ratings(request: Request) -> list[Rank]:
    return _show(request.session.get("ratings", {}))


def _show(ratings: dict[str, int]) -> list[Rank]:
    return [Rank(model=model, rating=rating) for model, rating in rank(ratings)]


def create_app(store: SessionStore, **session_options: Any) -> FastAPI:
    """``session_options`` are those of SessionMiddleware."""
    app = FastAPI(title="Duel arena")
    app.add_middleware(SessionMiddleware, store=store, **session_options)
    app.include_router(router)
    app.include_router(for_visitors)
    return app
