/* repository.c - whether two addresses are of one repository.
 *
 * The same repository is cloned by https and by ssh, with ".git" and without, with somebody's name
 * before the host, and in any case: the hosts take names so. Bitbucket Data Center has one path to
 * clone by https (/scm/), another by ssh, and a third in a browser. Nothing is asked, so what was
 * renamed is another repository here.
 */
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/model.h>
#include <retrybuild/str.h>

#define SEGMENTS_MAX 16

struct place {
    struct rb_slice host, port, path;
    bool ssh;
};

/* The path as Bitbucket Data Center means it. */
struct two {
    struct rb_slice project, name;
    bool user;  /* the project is a person's */
    bool plain; /* by ssh: any other host's path looks the same */
};

static bool same(struct rb_slice a, struct rb_slice b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static bool is(struct rb_slice s, const char *word)
{
    return same(s, rb_slice_str(word));
}

static void cut_path(struct rb_slice *p)
{
    while (p->len > 0 && p->ptr[0] == '/') {
        p->ptr++;
        p->len--;
    }
    for (bool git = false; p->len > 0;) {
        if (p->ptr[p->len - 1] == '/') {
            p->len--;
        } else if (!git && p->len > 4 && strncasecmp(p->ptr + p->len - 4, ".git", 4) == 0) {
            p->len -= 4;
            git = true;
        } else {
            break;
        }
    }
}

/* take_authority - "user@host:port"; what hosts have for ssh through a firewall is the host. */
static void take_authority(struct rb_slice s, struct place *ret)
{
    static const struct {
        const char *name, *host;
    } by_other_names[] = {{"altssh.bitbucket.org", "bitbucket.org"},
                          {"altssh.gitlab.com", "gitlab.com"},
                          {"ssh.github.com", "github.com"},
                          {"www.github.com", "github.com"}};
    for (size_t i = s.len; i > 0; i--) {
        if (s.ptr[i - 1] == '@') {
            s = (struct rb_slice){s.ptr + i, s.len - i};
            break;
        }
    }
    for (size_t i = s.len; i > 0 && s.ptr[i - 1] != ']'; i--) {
        if (s.ptr[i - 1] == ':') {
            ret->port = (struct rb_slice){s.ptr + i, s.len - i};
            s.len = i - 1;
            break;
        }
    }
    s.len -= s.len > 0 && s.ptr[s.len - 1] == '.' ? 1 : 0;
    for (size_t i = 0; i < RB_ARRAY_LEN(by_other_names); i++) {
        s = is(s, by_other_names[i].name) ? rb_slice_str(by_other_names[i].host) : s;
    }
    ret->host = s;
}

static bool read_url(const char *text, const char *colon, struct place *ret)
{
    struct rb_slice scheme = {text, (size_t)(colon - text)};
    const char *authority = colon + 3;
    size_t len = strcspn(authority, "/?#");
    bool https = is(scheme, "https");
    bool http = is(scheme, "http");
    ret->ssh = is(scheme, "ssh") || is(scheme, "git+ssh");
    if (!https && !http && !ret->ssh) {
        return false;
    }
    take_authority((struct rb_slice){authority, len}, ret);
    if ((https && is(ret->port, "443")) || (http && is(ret->port, "80"))) {
        ret->port.len = 0;
    }
    ret->path = (struct rb_slice){authority + len, strcspn(authority + len, "?#")};
    return true;
}

/* place_of - false: @text is no address of a repository. */
static bool place_of(const char *text, struct place *ret)
{
    struct place p = {.host = RB_SLICE_LIT(""), .port = RB_SLICE_LIT("")};
    const char *url = text == NULL ? NULL : strstr(text, "://");
    size_t colon = text == NULL ? 0 : strcspn(text, ":/");
    if (text == NULL) {
        return false;
    }
    if (url != NULL) {
        if (!read_url(text, url, &p)) {
            return false;
        }
    } else if (text[colon] == ':' && memchr(text, '@', colon) != NULL) { /* git@host:path */
        take_authority((struct rb_slice){text, colon}, &p);
        p.path = rb_slice_str(text + colon + 1);
        p.ssh = true;
    } else {
        return false;
    }
    cut_path(&p.path);
    *ret = p;
    return p.host.len > 0 && p.path.len > 0;
}

static unsigned split(struct rb_slice path, struct rb_slice ret[SEGMENTS_MAX])
{
    unsigned n = 0;
    for (size_t at = 0; at < path.len && n < SEGMENTS_MAX;) {
        const char *slash = memchr(path.ptr + at, '/', path.len - at);
        size_t len = slash == NULL ? path.len - at : (size_t)(slash - path.ptr) - at;
        ret[n++] = (struct rb_slice){path.ptr + at, len};
        at += len + 1;
    }
    return n;
}

static bool two_of(const struct place *p, struct two *ret)
{
    struct rb_slice s[SEGMENTS_MAX];
    unsigned n = split(p->path, s);
    struct two t = {.user = false};
    bool found = false;
    for (unsigned i = 0; !p->ssh && !found && i + 3 < n; i++) { /* …/projects/P/repos/r/browse */
        t.user = is(s[i], "users");
        found = (t.user || is(s[i], "projects")) && is(s[i + 2], "repos");
        t.project = s[i + 1];
        t.name = s[i + 3];
    }
    if (!found && !p->ssh && n >= 3 && is(s[n - 3], "scm")) {
        t = (struct two){.project = s[n - 2], .name = s[n - 1]};
        found = true;
    } else if (!found && p->ssh && n == 2) {
        t = (struct two){.project = s[0], .name = s[1], .plain = true};
        found = true;
    }
    if (found && t.project.len > 0 && t.project.ptr[0] == '~') {
        t.user = true;
        t.project.ptr++;
        t.project.len--;
    }
    *ret = t;
    return found;
}

static bool same_two(const struct place *a, const struct place *b)
{
    struct two x, y;
    return two_of(a, &x) && two_of(b, &y) && !(x.plain && y.plain) && x.user == y.user &&
           same(x.project, y.project) && same(x.name, y.name);
}

bool rb_repository_is(const char *text)
{
    struct place p;
    return place_of(text, &p);
}

bool rb_repository_same(const char *a, const char *b)
{
    struct place x, y;
    if (!place_of(a, &x) || !place_of(b, &y) || !same(x.host, y.host)) {
        return false;
    }
    if (!x.ssh && !y.ssh && !same(x.port, y.port)) {
        return false;
    }
    return same(x.path, y.path) || same_two(&x, &y);
}
