/* once_only.pml - the once-only call: one failed build, one record, two workers of which either may be a zombie
 * (the lease can pass on at any moment), a network that keeps, repeats or drops what is in it, and AWS with a
 * window for tokens and one for signatures. A tick is a minute. What must hold: no second new build.
 *
 * The rules, and the macro that drops each: intent before the call and fenced writes (UNFENCED), one signature
 * date for an attempt (RESIGN), a look before anything new (BLIND), "it did not happen" only when every copy is
 * dead (HASTY), the quarantine after a store that forgot (FORGETS without QUARANTINE). SIGNATURE longer than
 * TOKEN breaks the second rule's reason; then only a single copy may be sent (ONE_COPY).
 * Left out: the error of clocks, several builds of one source version, a look that takes a stranger for ours. */
#ifndef TOKEN
#define TOKEN 5     /* AWS knows a token for so long after its first use */
#endif
#ifndef SIGNATURE
#define SIGNATURE 5 /* AWS takes a signature for so long after its date */
#endif
#ifndef RESEND
#define RESEND 2    /* the same copy may be sent again for so long */
#endif
#ifndef LAG
#define LAG 1       /* a new build shows in a look after so long */
#endif
#ifndef END
#define END 9
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef LEASES
#define LEASES 4    /* how often the lease may pass on */
#endif
#define COPIES 3

#ifdef UNFENCED
#define MINE true
#else
#define MINE (fence == my)
#endif
#ifdef QUARANTINE
#define MAY_BEGIN (!forgot || now - forgot_at > SIGNATURE + LAG)
#else
#define MAY_BEGIN true
#endif
#define SEEN (builds > 0 && now - newest >= LAG)
#define DEAD(date) (now - date > SIGNATURE + LAG && now - date > TOKEN + LAG)

#define FRESH 0
#define INTENT 1
#define SETTLED 2

byte now
byte builds, newest              /* new builds at AWS, and when the newest began */
byte first_use[ATTEMPTS + 1]     /* of each token, plus one; 0 = never */
byte state, attempt, date, fence /* the record */
bool copied                      /* ONE_COPY: this attempt has been sent */
bool forgot
byte forgot_at
bool there[COPIES]               /* copies on their way */
byte signed_at[COPIES], token[COPIES]

inline put(signature, number)
{
    if
    :: !there[0] -> there[0] = true; signed_at[0] = signature; token[0] = number
    :: there[0] && !there[1] -> there[1] = true; signed_at[1] = signature; token[1] = number
    :: there[0] && there[1] && !there[2] -> there[2] = true; signed_at[2] = signature; token[2] = number
    :: else -> skip /* dropped */
    fi
}

inline arrive(i)
{
    if
    :: now - signed_at[i] > SIGNATURE -> skip
    :: else ->
        if
        :: first_use[token[i]] > 0 && now + 1 - first_use[token[i]] <= TOKEN -> skip /* the same build again */
        :: else -> builds++; newest = now; first_use[token[i]] = now + 1; assert(builds < 2)
        fi
    fi;
    there[i] = false; signed_at[i] = 0; token[i] = 0
}

proctype clock()
{
    do
    :: now < END -> now++
    :: now >= END -> break
    od
}

proctype aws()
{
    do
    :: atomic { there[0] -> arrive(0) }
    :: atomic { there[1] -> arrive(1) }
    :: atomic { there[2] -> arrive(2) }
    :: now >= END -> break
    od
}

proctype loss()
{
    if
    :: atomic { state != SETTLED -> state = FRESH; attempt = 0; date = 0; copied = false; forgot = true; forgot_at = now }
    :: skip
    fi
}

proctype worker()
{
    byte my, signature, number
    bool looked, found, has_intent

    do
    :: now >= END || state == SETTLED || fence >= LEASES -> break
    :: atomic { now < END && state != SETTLED && fence < LEASES ->
            fence++; my = fence; looked = false; found = false; has_intent = false; signature = 0; number = 0 }
        /* A record without intent: look, then write the intent or what was found. */
        if
        :: atomic { state == FRESH && MAY_BEGIN -> looked = true; found = SEEN }
        :: else -> skip
        fi;
        if
        :: atomic { looked && found && state == FRESH && MINE -> state = SETTLED }
        :: atomic { looked && !found && state == FRESH && MINE -> state = INTENT; attempt = 1; date = now; copied = false }
        :: else -> skip
        fi;
        atomic { signature = date; number = attempt; has_intent = (state == INTENT && fence == my) }
        if
#ifdef ONE_COPY
        :: atomic { has_intent && state == INTENT && MINE && !copied -> copied = true; number = attempt; signature = date }
#else
        :: has_intent && now - signature <= RESEND -> skip
#endif
#ifdef RESIGN
            atomic { put(now, number) }
#else
            atomic { put(signature, number) }
#endif
            if
            :: atomic { first_use[number] > 0 && MINE -> state = SETTLED } /* the answer came */
            :: skip                                                       /* it was lost */
            fi
#ifdef HASTY
        :: has_intent && now - signature > RESEND ->
#else
        :: has_intent && DEAD(signature) ->
#endif
            if
#ifndef BLIND
            :: atomic { SEEN -> if :: MINE -> state = SETTLED :: else -> skip fi }
            :: atomic { !SEEN -> if :: MINE && attempt < ATTEMPTS -> attempt++; date = now; copied = false :: else -> skip fi }
#else
            :: atomic { true -> if :: MINE && attempt < ATTEMPTS -> attempt++; date = now; copied = false :: else -> skip fi }
#endif
            fi
        :: else -> skip
        fi
    od
}

init
{
    atomic {
        run clock(); run aws(); run worker(); run worker()
#ifdef FORGETS
        ; run loss()
#endif
    }
}
