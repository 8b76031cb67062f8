/*
 * One conversation on several nodes: append, read back, apply, store, sleep, wake from what is stored, crash, hand over, pause.
 *
 * Checked by spin to the end (docs/model/README.md): every interleaving, nothing sampled. Each step names the function that does it.
 * Where the program does several things in one go (an embedded transaction, one consistent read), the model gives way in between: so
 * it has every behaviour of the program and some more. A node that is paused (SIGSTOP, a slow disk) takes no step for a while and goes
 * on later: every interleaving has that. All nodes may hold the room and store at once: whoever is not the owner is a ghost.
 */
#define MESSAGE 1   /* alice sends a message                             */
#define OTHER   2   /* bob sends one                                     */
#define EDIT    3   /* alice edits hers, once it is acknowledged         */
#define REMOVE  4   /* alice removes bob                                 */
#define NEXT    5   /* alice sends another, `after` her first            */

#ifndef NODES
#define NODES 2
#endif
#ifndef REPEATS
#define REPEATS 2   /* attempts besides each act's first, of any act, on any node, with either content */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef MOVES
#define MOVES 0     /* the partition goes to another worker and comes back */
#endif
#ifndef SLEEPS
#define SLEEPS 1
#endif
#ifndef DROPS
#define DROPS 1     /* a tail drops its oldest row: it has grown too long, or storage has the row */
#endif
#ifndef ACTS
#define ACTS 30     /* which acts happen: one bit for each, 2 for the first */
#endif
#ifndef MOST
#define MOST 6      /* appends in all */
#endif
#ifndef TRIES
#define TRIES 2     /* actors/desk.py: TRIES */
#endif
#ifndef KEEP
#define KEEP 1      /* WINDOW_MOST of services/deciding.py; small, so that the model forgets */
#endif
#ifndef GHOSTS
#define GHOSTS 1    /* what a node is about to store may take its time, and be overtaken by another's */
#endif
#ifndef WHOLE
#define WHOLE 1     /* 1: a step of storing is one transaction, and waking one read (embedded); 0: write by write, read by read */
#endif
#ifndef BUG
#define BUG 0       /* one rule left out; scripts/check_model.py has the list */
#endif
#define T(act) ((act) == MESSAGE -> 3 : ((act) == OTHER -> 1 : (act)))   /* the time in an act's id: clients' clocks are wrong */

/* Folds: the rooms', what is being stored (a copy of the room's, or storing's own), and the truth. */
#define STORING(n) (NODES + n)
#define TRUTH (2 * NODES)
typedef Fold {
    byte place, seq, first, horizon, horizon_place;
    byte removed_at;          /* the place at which bob was removed, or 0: the part of the head that holds members */
    byte act[MOST + 1];       /* by seq, the window and what is not stored: the act accepted, */
    bit body[MOST + 1];       /* its content, */
    byte at[MOST + 1];        /* and its place. The truth keeps all */
};
Fold F[2 * NODES + 1];

/* The log, and what is on its way to it. `owner`: the node (from 1) whose room waits for this very append, or nobody any more: so an
 * append needs no name here, as a room has one on its way. `verdict` and `seq` are the truth's. */
typedef Entry { byte act, checked, owner; bit body };
typedef Row { byte act, checked, owner, verdict, seq; bit body };
Entry flying[2];
Row row[MOST + 1];
byte tip, gone;               /* the last place of the log; the places that nobody will read again, which are forgotten */

/* What is stored: written in one order and read in the other. */
byte stored_place;
byte head_place, head_seq, head_first = 1, head_horizon, head_horizon_place;
byte part_place;
byte kept_act[MOST + 1], kept_at[MOST + 1];
bit kept_body[MOST + 1];
bit doc_edited;
byte doc_place;

#define OK 1
#define DUPLICATE 2
#define CONFLICT 3
#define STALE 4
#define REFUSED 5

#define ASLEEP 0
#define PLACED 1    /* it has read the stored place, */
#define HEADED 2    /* and then the head, */
#define LOADED 3    /* and then the members' part and the window */
#define AWAKE 4

typedef Node {
    bit up;
    byte room;
    byte read, begins, whole;                    /* the tail: read up to; holds what is later than; whole at */
    byte was_placed, known;                      /* waking: the stored place it read; what others had acknowledged when it began */
    byte act, tries;                             /* the record on its way; act 0: none */
    bit body;
    byte looking, look_checked;                  /* an old id that storage is asked for, and the seq at which it was asked */
    bit look_body;
    byte writing;                                /* storing: 0 nothing, 1 documents next, 2 head and parts, 3 the place */
};
Node N[NODES];

bit begun[6], acknowledged;   /* the first message is */
byte repeats, crashes, moves, sleeps, drops;
hidden byte i, j, found, verdict, at_seq, at_place, what, seen, from, content, refused;    /* scratch: each step sets what it reads */

/* services/deciding.py: Fold.apply, _accept, _forget. The verdict is in `verdict`, the seq in `at_seq`. */
inline apply(whose, deed, said, since, spot) {
    F[whose].place = spot; found = 0; verdict = 0; at_seq = 0;
    for (i : 1 .. MOST) { if :: i >= F[whose].first && i <= F[whose].seq && F[whose].act[i] == deed -> found = i :: else fi }
    if
    :: found -> if :: F[whose].body[found] == said || BUG == 10 -> verdict = DUPLICATE; at_seq = found :: else -> verdict = CONFLICT fi
    :: else ->
        if
        :: since + 1 < F[whose].first && BUG != 1 -> verdict = STALE
        :: else ->
            if
            :: deed == OTHER && F[whose].removed_at && BUG != 12 -> verdict = REFUSED
            :: else ->
                verdict = OK; F[whose].seq++; at_seq = F[whose].seq;
                F[whose].act[at_seq] = deed; F[whose].body[at_seq] = said; F[whose].at[at_seq] = spot;
                if :: deed == REMOVE -> F[whose].removed_at = spot :: else fi;
                if
                :: at_seq + 1 - F[whose].first > KEEP ->
                    j = F[whose].first; F[whose].first++; F[whose].horizon_place = F[whose].at[j];
                    if :: T(F[whose].act[j]) > F[whose].horizon && BUG != 7 -> F[whose].horizon = T(F[whose].act[j]) :: else fi
                :: else
                fi
            fi
        fi
    fi
}

/* A node decides as the log does. */
inline agree(whose, spot) {
    apply(whose, row[spot].act, row[spot].body, row[spot].checked, spot);
    assert(verdict == row[spot].verdict && at_seq == row[spot].seq)
}

inline no_fold(whose) {
    for (i : 1 .. MOST) { F[whose].act[i] = 0; F[whose].body[i] = 0; F[whose].at[i] = 0 }
    F[whose].place = 0; F[whose].seq = 0; F[whose].first = 0; F[whose].horizon = 0; F[whose].horizon_place = 0; F[whose].removed_at = 0
}

inline copy_fold(to, source) {
    F[to].place = F[source].place; F[to].seq = F[source].seq; F[to].first = F[source].first;
    F[to].horizon = F[source].horizon; F[to].horizon_place = F[source].horizon_place; F[to].removed_at = F[source].removed_at;
    for (i : 1 .. MOST) { F[to].act[i] = F[source].act[i]; F[to].body[i] = F[source].body[i]; F[to].at[i] = F[source].at[i] }
}

/* services/heads.py: restore. First the head, then the members' part and the window's entries. */
inline take_head(whose) {
    no_fold(whose);
    F[whose].place = head_place; F[whose].seq = head_seq; F[whose].first = head_first;
    F[whose].horizon = head_horizon; F[whose].horizon_place = head_horizon_place
}

inline take_rest(whose) {
    F[whose].removed_at = part_place;
    for (i : 1 .. MOST) {
        if
        :: i >= F[whose].first && i <= F[whose].seq ->
            assert(kept_act[i]);                  /* deed head is never ahead of the entries of its window */
            F[whose].act[i] = kept_act[i]; F[whose].body[i] = kept_body[i]; F[whose].at[i] = kept_at[i]
        :: else
        fi
    }
}

/* The answer to a client: it must be what the log has. */
inline answer(deed, said, spot) {
    assert(spot >= 1 && spot <= F[TRUTH].seq && F[TRUTH].act[spot] == deed && F[TRUTH].body[spot] == said);
    if :: deed == MESSAGE -> acknowledged = 1 :: else fi
}

inline no_flight(n) {
    for (i : 1 .. MOST) { if :: row[i].owner == n + 1 -> row[i].owner = 0 :: else fi }
    if :: flying[0].owner == n + 1 -> flying[0].owner = 0 :: else fi;
    if :: flying[1].owner == n + 1 -> flying[1].owner = 0 :: else fi;
    N[n].act = 0; N[n].tries = 0; N[n].body = 0
}

inline no_look(n) { N[n].looking = 0; N[n].look_checked = 0; N[n].look_body = 0 }

#define CAN_FLY (flying[1].act == 0 && tip + (flying[0].act -> 1 : 0) < MOST)

/* services/checking.py: check. `since`: the seq at which the room last made sure that the id is new; `looked`: storage has been asked. */
inline check(n, deed, said, since, looked) {
    found = 0; refused = (deed == NEXT && BUG != 13);
    for (i : 1 .. MOST) {
        if :: i >= F[n].first && i <= F[n].seq && F[n].act[i] == deed -> found = i :: else fi;
        if :: i >= F[n].first && i <= F[n].seq && F[n].act[i] == MESSAGE -> refused = 0 :: else fi
    }
    if :: deed == OTHER && F[n].removed_at -> refused = 1 :: else fi;
    if
    :: found ->
        if :: F[n].body[found] == said || BUG == 10 -> answer(deed, said, found) :: else fi
    :: else ->
        if
        :: !(looked) && T(deed) <= F[n].horizon && BUG != 3 ->       /* old: storage is asked, once it has passed the horizon's place */
            if
            :: stored_place >= F[n].horizon_place || BUG == 4 -> N[n].looking = deed; N[n].look_body = said; N[n].look_checked = F[n].seq
            :: else
            fi
        :: else ->
            if
            :: !refused && CAN_FLY ->      /* actors/record.py: build; then Log.append: it may land whenever it likes, or never */
                j = (flying[0].act == 0 -> 0 : 1);
                flying[j].act = deed; flying[j].body = said; flying[j].owner = n + 1;
                flying[j].checked = (since < F[n].seq -> since : F[n].seq);
                N[n].act = deed; N[n].body = said
            :: else
            fi
        fi
    fi
}

/* A room has read its own append. Stale: checked and appended again, before anything newer. (The log's own acknowledgement is there too:
 * to wait for it longer only delays the same answer.) */
inline landed(n) {
    what = N[n].act; content = N[n].body; seen = N[n].tries; from = verdict;
    no_flight(n);
    if
    :: from == OK || from == DUPLICATE -> answer(what, content, at_seq)
    :: from == STALE && seen + 1 < TRIES ->
        check(n, what, content, F[n].seq, 0);
        if :: N[n].act -> N[n].tries = seen + 1 :: else fi
    :: else
    fi
}

/* What nobody will read again is all one. */
#define PAST(n, p) (!N[n].up || (N[n].read >= p && (N[n].room == AWAKE || N[n].room == ASLEEP || N[n].begins >= p || N[n].was_placed >= p)))
inline forget() {
    for (i : gone + 1 .. tip) {
        if :: i == gone + 1 && i <= stored_place && PAST(0, i) && PAST(1, i) ->
                gone = i; row[i].act = 0; row[i].checked = 0; row[i].owner = 0; row[i].verdict = 0; row[i].seq = 0; row[i].body = 0
           :: else
        fi
    }
    i = 0
}

/* actors/room.py: Room._submit, _depart. One append on its way; what comes meanwhile has not been sent yet, here. */
#define FREE(n) (N[n].up && N[n].room == AWAKE && N[n].act == 0 && N[n].looking == 0)

/* actors/waking.py: reaches. */
#define REACHES(n, place) ((N[n].begins <= place || BUG == 9) && (N[n].whole <= N[n].read || N[n].whole <= place || BUG == 11))

/* actors/reader.py: Reader.assign. `known`: what somebody has been told before this node began; it may not be denied. */
inline follow(n) {
    N[n].up = 1; N[n].begins = stored_place; N[n].read = stored_place; N[n].whole = tip; N[n].known = F[TRUTH].seq
}

/* actors/room.py: Room.stopped; actors/tails.py: Tails.end. Whoever waits is told that nobody knows. */
inline let_go(n) {
    N[n].up = 0; N[n].room = ASLEEP; N[n].read = 0; N[n].begins = 0; N[n].whole = 0; N[n].known = 0; N[n].was_placed = 0;
    no_flight(n); no_look(n); no_fold(n)
}

/* A part is written together with its head: if it stayed later, as its writer died between, nobody could wake the conversation any more. */
inline write_part(n) {
    if :: F[STORING(n)].removed_at > part_place -> part_place = F[STORING(n)].removed_at :: else fi
}

/* Documents: Storing.changes; services/amending.py; Documents.put. Each write only forward. */
inline write_documents(n) {
    for (i : 1 .. MOST) {
        if
        :: F[STORING(n)].act[i] == EDIT && F[STORING(n)].at[i] > doc_place -> doc_edited = 1; doc_place = F[STORING(n)].at[i]
        :: F[STORING(n)].act[i] == MESSAGE && (F[STORING(n)].at[i] > doc_place || BUG == 5) -> doc_edited = 0; doc_place = F[STORING(n)].at[i]
        :: else
        fi
    }
    if :: BUG == 14 -> write_part(n) :: else -> i = 0 fi
}

/* The head, as of its last accepted entry: Storing.heads. */
inline write_head(n) {
    write_part(n);
    found = F[STORING(n)].seq;
    if
    :: found && (F[STORING(n)].at[found] > head_place || BUG == 5) ->
        head_place = F[STORING(n)].at[found]; head_seq = found; head_first = F[STORING(n)].first;
        head_horizon = F[STORING(n)].horizon; head_horizon_place = F[STORING(n)].horizon_place
    :: else
    fi
}

/* The place: Storing.places. */
inline write_place(n) {
    if :: F[STORING(n)].place > stored_place -> stored_place = F[STORING(n)].place :: else fi
}

inline written(n) { N[n].writing = 0; no_fold(STORING(n)); forget() }

/* actors/storing.py: Storer._gathered, then Log.store. What is decided is written as it stood; entries come first. */
inline begin_storing(n) {
    for (i : 1 .. MOST) {
        if
        :: F[STORING(n)].act[i] ->
            for (j : 1 .. MOST) { assert(j == i || kept_act[j] != F[STORING(n)].act[i]) }     /* no act is stored at two seqs */
            assert(kept_act[i] == 0 || (kept_act[i] == F[STORING(n)].act[i] && kept_at[i] == F[STORING(n)].at[i]));
            kept_act[i] = F[STORING(n)].act[i]; kept_body[i] = F[STORING(n)].body[i]; kept_at[i] = F[STORING(n)].at[i];
            if :: i < F[n].first -> F[n].act[i] = 0; F[n].body[i] = 0; F[n].at[i] = 0 :: else fi
        :: else
        fi
    }
    N[n].writing = 1;
    if :: GHOSTS -> i = 0 :: else -> write_documents(n); write_head(n); write_place(n); written(n) fi
}

proctype Life(byte n) {
end:do
    /* Storing: each write only forward. It goes on though the room has left (a ghost); a crash ends it anywhere. */
    :: d_step { N[n].up && N[n].writing == 0 && N[n].room == AWAKE && F[n].place > stored_place ->      /* Room._applied -> Storer.decided */
            copy_fold(STORING(n), n); begin_storing(n) }
    :: d_step { N[n].up && N[n].writing == 0 && N[n].room != AWAKE && N[n].read > stored_place && part_place <= head_place ->
            /* Storer._fold_one: no room decides */
            take_head(STORING(n)); take_rest(STORING(n));
            for (at_place : stored_place + 1 .. N[n].read) {
                if :: at_place > F[STORING(n)].place -> agree(STORING(n), at_place) :: else fi
            }
            begin_storing(n) }
    :: d_step { N[n].writing == 1 ->
            write_documents(n);
            if :: BUG == 6 -> N[n].writing = 3 :: WHOLE && BUG != 6 -> write_head(n); write_place(n); written(n) :: else -> N[n].writing = 2 fi }
    :: d_step { N[n].writing == 2 -> write_head(n); if :: BUG == 6 -> written(n) :: else -> N[n].writing = 3 fi }
    :: d_step { N[n].writing == 3 -> write_place(n); if :: BUG == 6 -> N[n].writing = 2 :: else -> written(n) fi }

    /* Waking. actors/waking.py: read_stored; actors/room.py: Room._woken; actors/waking.py: reaches, catch_up. */
    :: d_step { N[n].up && N[n].room == ASLEEP && BUG != 2 ->
            N[n].was_placed = stored_place; N[n].room = PLACED;
            if :: WHOLE -> take_head(n); take_rest(n); N[n].room = LOADED :: else fi }
    :: d_step { N[n].up && (N[n].room == PLACED || (N[n].room == ASLEEP && BUG == 2)) -> take_head(n); N[n].room = HEADED }
    :: d_step { N[n].up && N[n].room == HEADED && part_place <= F[n].place ->
            take_rest(n); N[n].room = LOADED;
            if :: BUG == 2 -> N[n].was_placed = stored_place; F[n].place = (stored_place > F[n].place -> stored_place : F[n].place) :: else fi }
    :: d_step { N[n].up && N[n].room == HEADED && part_place > F[n].place && part_place <= head_place ->              /* Torn: again, once it helps */
            no_fold(n); N[n].was_placed = 0; N[n].room = ASLEEP }
    :: d_step { N[n].up && N[n].room == LOADED && REACHES(n, N[n].was_placed) ->
            from = (N[n].begins > N[n].was_placed -> N[n].begins : N[n].was_placed);
            for (at_place : from + 1 .. N[n].read) {
                if :: at_place > F[n].place -> agree(n, at_place) :: else fi
            }
            N[n].was_placed = 0; N[n].room = AWAKE;
            assert(F[n].seq >= N[n].known);
            forget() }
    :: d_step { N[n].up && N[n].room == LOADED && !REACHES(n, N[n].was_placed) && REACHES(n, stored_place) ->     /* AGAIN_S later */
            no_fold(n); N[n].was_placed = 0; N[n].room = ASLEEP }
    :: d_step { FREE(n) && sleeps < SLEEPS -> sleeps++; no_fold(n); N[n].room = ASLEEP }                          /* Room.may_sleep */

    /* Reading. actors/reader.py: Reader.take; Tails.add; Room._rows. */
    :: d_step { N[n].up && N[n].read < tip ->
            N[n].read++; at_place = N[n].read;
            if
            :: N[n].room == AWAKE && at_place > F[n].place ->
                agree(n, at_place);
                if
                :: N[n].act && (row[at_place].owner == n + 1 || (BUG == 8 && row[at_place].act == N[n].act)) ->
                    landed(n)                                                     /* Room._land, _answered: the verdict of its own append */
                :: else
                fi
            :: else
            fi;
            forget() }
    :: d_step { N[n].up && drops < DROPS && N[n].begins < N[n].read -> drops++; N[n].begins++ }                   /* Tails._drop, settle */

    :: d_step { N[n].act -> no_flight(n) }                                        /* Room._late, _overdue: `timeout`, but it may still land */
    :: d_step { N[n].looking ->                                                   /* Room._look, Log.find, Room._found */
            found = 0; what = N[n].looking; content = N[n].look_body; seen = N[n].look_checked;
            for (i : 1 .. MOST) { if :: kept_act[i] == what -> found = i :: else fi }
            no_look(n);
            if
            :: found -> if :: kept_body[found] == content -> answer(what, content, found) :: else fi
            :: else -> check(n, what, content, seen, 1)
            fi }

    /* The worker dies, or the partition goes elsewhere and comes back (Assembly.take_ring); then it begins from what is stored. */
    :: d_step { N[n].up && crashes < CRASHES -> crashes++; let_go(n); N[n].writing = 0; no_fold(STORING(n)) }
    :: d_step { N[n].up && moves < MOVES -> moves++; let_go(n) }
    :: d_step { !N[n].up -> follow(n) }
    od
}

/* The first place is taken first: which of two records stands where makes no difference. */
inline no_entry(slot) {
    if
    :: slot == 0 ->
        flying[0].act = flying[1].act; flying[0].body = flying[1].body; flying[0].checked = flying[1].checked; flying[0].owner = flying[1].owner
    :: else
    fi;
    flying[1].act = 0; flying[1].body = 0; flying[1].checked = 0; flying[1].owner = 0
}

/* It is in the log: the truth decides it, once and for all. Both backends acknowledge only what is durable. */
inline land(slot) {
    tip++;
    row[tip].act = flying[slot].act; row[tip].body = flying[slot].body; row[tip].checked = flying[slot].checked; row[tip].owner = flying[slot].owner;
    no_entry(slot);
    apply(TRUTH, row[tip].act, row[tip].body, row[tip].checked, tip);
    row[tip].verdict = verdict; row[tip].seq = at_seq;
    if
    :: verdict == OK ->
        for (i : 1 .. MOST) { assert(i >= at_seq || F[TRUTH].act[i] != row[tip].act) };       /* no act is accepted twice */
        if :: row[tip].act == NEXT -> found = 0; for (i : 1 .. at_seq) { if :: F[TRUTH].act[i] == MESSAGE -> found = 1 :: else fi }; assert(found)
           :: else fi;
        assert(row[tip].act != OTHER || !F[TRUTH].removed_at)
    :: else
    fi
}

/* The log: what is on its way lands, in whatever order. Its order is the decision. A record that is lost is one that lands too late. */
proctype TheLog() {
end:do
    :: d_step { flying[0].act -> land(0) }
    :: d_step { flying[1].act -> land(1) }
    od
}

#define FIRST(n, a) d_step { FREE(n) && ((1 << a) & ACTS) && !begun[a] && (a != EDIT || acknowledged) && (a != NEXT || begun[MESSAGE]) && \
                            (a != MESSAGE || n == 0 /* nodes are alike */) -> begun[a] = 1; check(n, a, 0, F[n].seq, 0) }
#define AGAIN(n, a, b) d_step { FREE(n) && repeats < REPEATS && begun[a] -> repeats++; check(n, a, b, F[n].seq, 0) }

/* Clients: each act once, and repeats at any time, on any node, also with another content under the same id. */
proctype Clients(byte n) {
end:do
    :: FIRST(n, MESSAGE)
    :: FIRST(n, OTHER)
    :: FIRST(n, EDIT)
    :: FIRST(n, REMOVE)
    :: FIRST(n, NEXT)
    :: AGAIN(n, MESSAGE, 0)
    :: AGAIN(n, MESSAGE, 1)
    :: AGAIN(n, OTHER, 0)
    :: AGAIN(n, EDIT, 0)
    :: AGAIN(n, REMOVE, 0)
    :: AGAIN(n, NEXT, 0)
    od
}

/* When nothing can happen any more: everything has been read and stored, every room is awake, nothing waits. Nothing ever blocks. */
proctype Rest() {
    timeout ->
    d_step {
        for (j : 0 .. NODES - 1) {
            assert(N[j].up && N[j].read == tip && N[j].room == AWAKE && !N[j].act && !N[j].looking && !N[j].writing && F[j].seq == F[TRUTH].seq)
        }
        assert(stored_place == tip && head_seq == F[TRUTH].seq && part_place == F[TRUTH].removed_at);
        found = 0;
        for (i : 1 .. MOST) {
            assert(kept_act[i] == F[TRUTH].act[i] && kept_at[i] == F[TRUTH].at[i] && kept_body[i] == F[TRUTH].body[i]);
            if :: F[TRUTH].act[i] == EDIT -> found = 1 :: else fi
        }
        assert(doc_edited == found)
    }
}

init {
    atomic {
        for (j : 0 .. 2 * NODES) { F[j].first = 0 }
        F[TRUTH].first = 1;
        for (j : 0 .. NODES - 1) { F[j].first = 1; follow(j); N[j].room = AWAKE; run Life(j); run Clients(j) }
        run TheLog(); run Rest()
    }
}
