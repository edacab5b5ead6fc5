/* The service that every supervisor runs in the benchmarks. Static, so that its own start costs next to nothing.
 *
 *   service up OUT               say when it started, exit 0 at once on TERM
 *   service fail OUT             say when it started, exit 1
 *   service lines N OUT          write N lines of 100 bytes to stdout, then as `up`
 *   service burst N GATE OUT     N orphans that all exit when the last writer closes the FIFO GATE, then as `up`
 *   service serve PORT OUT       answer HTTP requests on 127.0.0.1, one a connection, until TERM
 *   service stream N GATE OUT    from then on N orphans one after the other, each exits at once, then as `up`
 *
 * Called as `run` (s6, runit) it takes these words from the file ./args: no shell runs between supervisor and service,
 * which is the best case for both.
 * A report is one line in OUT, a FIFO or a file: `up PID NANOSECONDS` (CLOCK_MONOTONIC, read first thing in main).
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, DIGITS = 10, LINES_A_BLOCK = 640 };

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void report(const char *out, const char *what, long long at) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s %d %lld\n", what, getpid(), at);
    int fd = open(out, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, line, length) != length) err(70, "%s", out);
    close(fd);
}

static void block_term(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigprocmask(SIG_BLOCK, set, NULL);
}

static int until_term(const sigset_t *set) {
    int signal;
    sigwait(set, &signal);
    return 0;
}

/* Counts up a number in decimal digits. */
static void count(char *digits) {
    for (int i = DIGITS - 1; i >= 0; i--) {
        if (digits[i] != '9') {
            digits[i]++;
            return;
        }
        digits[i] = '0';
    }
}

/* `~` and ten digits number the lines: the sink finds each of them in whatever frame the supervisor puts around.
 * Just under 64 KiB a write, as a program with a block-buffered stdout; readers see lines cut anywhere. */
static void lines(long n) {
    static char block[LINES_A_BLOCK * LINE];
    static const char text[] =
        " 2026-01-02T10:11:12Z app.orders order 4711 of client 42 stored in 12 ms, 5120 bytes, ok\n";
    _Static_assert(sizeof text - 1 == LINE - 1 - DIGITS, "a line has 100 bytes");
    char number[DIGITS];
    memset(number, '0', DIGITS);
    for (int i = 0; i < LINES_A_BLOCK; i++) {
        block[i * LINE] = '~';
        memcpy(block + i * LINE + 1 + DIGITS, text, LINE - 1 - DIGITS);
    }
    for (long done = 0; done < n;) {
        long some = n - done < LINES_A_BLOCK ? n - done : LINES_A_BLOCK;
        for (long i = 0; i < some; i++) {
            memcpy(block + i * LINE + 1, number, DIGITS);
            count(number);
        }
        for (char *at = block, *end = block + some * LINE; at < end;) {
            ssize_t got = write(1, at, end - at);
            if (got < 0) err(70, "stdout");
            at += got;
        }
        done += some;
    }
}

static pid_t forked(void) {
    pid_t pid = fork();
    if (pid < 0) err(70, "fork");
    return pid;
}

static void wait_for(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) < 0 || status != 0) errx(70, "a child failed");
}

static int until_open(int gate) {
    char byte;
    return read(gate, &byte, 1) != 0;
}

static int opened(const char *gate) {
    int fd = open(gate, O_RDONLY);
    if (fd < 0) err(70, "%s", gate);
    return fd;
}

/* All orphans are there first, then exit at the same instant. */
static void burst(long n, const char *gate, const char *out) {
    int fd = opened(gate);
    pid_t middle = forked();
    if (middle == 0) {
        for (long i = 0; i < n; i++)
            if (forked() == 0) _exit(until_open(fd));
        _exit(0);
    }
    wait_for(middle);
    close(fd);
    report(out, "armed", now());
}

/* One orphan after the other, as fast as one process can make them; each exits at once. */
static void stream(long n, const char *gate, const char *out) {
    int fd = opened(gate);
    report(out, "armed", now());
    until_open(fd);
    for (long i = 0; i < n; i++) {
        pid_t middle = forked();
        if (middle == 0) {
            forked();
            _exit(0);
        }
        wait_for(middle);
    }
    report(out, "done", now());
}

/* Ends by TERM's default action. */
static void serve(int port, const char *out, long long start) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) err(70, "port");
    report(out, "up", start);
    for (char request[4096];;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0) continue;
        /* A connection without a request is a probe of the port. */
        if (read(client, request, sizeof request) > 0 && write(client, answer, sizeof answer - 1) < 0) warn("answer");
        close(client);
    }
}

/* The words of ./args, where a supervisor runs a file and passes no arguments. */
static int read_args(char **argv, int max) {
    static char text[4096];
    int fd = open("args", O_RDONLY), argc = 1;
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (length < 0) err(70, "args");
    close(fd);
    for (char *word = strtok(text, " \n"); word && argc < max; word = strtok(NULL, " \n")) argv[argc++] = word;
    argv[argc] = NULL;
    return argc;
}

int main(int argc, char **argv) {
    long long start = now();
    char *words[8] = {argv[0]};
    size_t length = strlen(argv[0]);
    if (length >= 3 && strcmp(argv[0] + length - 3, "run") == 0) {
        argc = read_args(words, 7);
        argv = words;
    }
    if (argc < 3) errx(64, "usage: service up|fail|lines|burst|stream ... OUT");
    const char *out = argv[argc - 1], *what = argv[1];
    sigset_t term;
    if (strcmp(what, "fail") == 0) {
        report(out, "up", start);
        return 1;
    }
    if (strcmp(what, "serve") == 0 && argc == 4) serve(atoi(argv[2]), out, start);
    block_term(&term);
    if (strcmp(what, "up") == 0) {
        report(out, "up", start);
    } else if (strcmp(what, "lines") == 0 && argc == 4) {
        report(out, "up", start);
        lines(atol(argv[2]));
        report(out, "end", now());
    } else if (strcmp(what, "burst") == 0 && argc == 5) {
        burst(atol(argv[2]), argv[3], out);
    } else if (strcmp(what, "stream") == 0 && argc == 5) {
        stream(atol(argv[2]), argv[3], out);
    } else {
        errx(64, "unknown: %s", what);
    }
    return until_term(&term);
}
