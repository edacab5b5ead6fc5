/* The harness's own hands, where Python would be too slow or could not see. All times are CLOCK_MONOTONIC nanoseconds.
 *
 *   observer launch FD CMD ARGS...   CMD as PID 1 of new PID, mount and network namespaces with its own /proc and /run;
 *                                    writes `exec NS`, `pid PID` and `exit NS STATUS` to FD
 *   observer zombies PID GATE S      opens the FIFO GATE for writing, says `open`, waits for a byte, closes GATE, then
 *                                    watches the children of PID, a line `NS ALIVE ZOMBIES` a look, until stdin has
 *                                    ended and no zombie is left, S seconds at most
 *   observer sink N                  reads stdin until the N numbered lines of `service lines` have come, or 5 s of
 *                                    nothing: `sink NS LINES NEWLINES BYTES WRONG`
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIGITS = 10, IDLE_MS = 5000, BETWEEN_SCANS_US = 1000, SERVICES = 50 };

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ---- launch ---- */

static void loopback_up(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) err(70, "lo");
    close(fd);
}

static void own_mounts(void) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) err(70, "private mounts");
    if (mount("proc", "/proc", "proc", 0, NULL) < 0) err(70, "/proc");
    if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0) err(70, "/run");
}

static int launch(int fd, char **command) {
    /* The whole namespace goes when the harness goes. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0) err(70, "unshare (root is needed)");
    pid_t pid = fork();
    if (pid < 0) err(70, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        own_mounts();
        loopback_up();
        dprintf(fd, "exec %lld\n", now());
        execvp(command[0], command);
        err(127, "%s", command[0]);
    }
    dprintf(fd, "pid %d\n", pid);
    int status;
    while (waitpid(pid, &status, 0) < 0) {}
    dprintf(fd, "exit %lld %d\n", now(), status);
    return 0;
}

/* ---- zombies ---- */

/* One look at the children of PID 1. /proc/PID/statm is the cheapest file that tells: a zombie has no memory left. */
static void scan(const char *children_file, int *alive, int *dead) {
    FILE *children = fopen(children_file, "r");
    int child;
    *alive = *dead = 0;
    if (!children) err(70, "%s", children_file);
    while (fscanf(children, "%d", &child) == 1) {
        char path[64], text[2];
        snprintf(path, sizeof path, "/proc/%d/statm", child);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        if (read(fd, text, sizeof text) == sizeof text) (*(memcmp(text, "0 ", 2) == 0 ? dead : alive))++;
        close(fd);
    }
    fclose(children);
}

static int stdin_closed(void) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char byte;
    return poll(&in, 1, 0) == 1 && read(0, &byte, 1) == 0;
}

static int zombies(int pid, const char *gate, int seconds) {
    struct sched_param first = {.sched_priority = 1};
    char path[64], byte;
    int closed = 0, alive, dead;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    int fd = open(gate, O_WRONLY | O_CLOEXEC);
    puts("open");
    fflush(stdout);
    if (fd < 0 || read(0, &byte, 1) != 1) err(70, "%s", gate);
    /* Thousands of processes may become runnable at once: the one that counts must not wait in their queue. */
    sched_setscheduler(0, SCHED_FIFO, &first);
    scan(path, &alive, &dead);
    long long start = now(), at = start;
    printf("%lld %d %d\n", at, alive, dead);
    close(fd);
    do {
        at = now();
        scan(path, &alive, &dead);
        printf("%lld %d %d\n", at, alive, dead);
        closed = closed || stdin_closed();
        usleep(BETWEEN_SCANS_US);
    } while (at - start < seconds * 1000000000LL && (!closed || dead > 0 || alive > SERVICES));
    return 0;
}

/* ---- sink ---- */

static void count(char *digits) {
    for (int i = DIGITS - 1; i >= 0; i--) {
        if (digits[i] != '9') {
            digits[i]++;
            return;
        }
        digits[i] = '0';
    }
}

/* In blocks whose sum fits a byte, so that the compiler can keep it in vector registers. */
static long newlines_in(const char *text, size_t length) {
    long n = 0;
    for (size_t i = 0; i < length;) {
        size_t end = i + 255 < length ? i + 255 : length;
        unsigned char some = 0;
        for (; i < end; i++) some += text[i] == '\n';
        n += some;
    }
    return n;
}

/* The next numbered line. Records tend to have one length, so look there before searching. */
static char *next_mark(char *last, size_t stride, char *from, char *end) {
    if (stride && last && stride < (size_t)(end - last) && last[stride] == '~') return last + stride;
    return memchr(from, '~', end - from);
}

static int sink(long wanted) {
    static char buffer[1 << 20];
    char expected[DIGITS];
    long seen = 0, newlines = 0, bytes = 0, wrong = 0;
    size_t kept = 0, stride = 0;
    long long at = now();
    memset(expected, '0', DIGITS);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int whole = 1; seen < wanted || !whole;) {
        struct pollfd ready = {.fd = 0, .events = POLLIN};
        ssize_t got = poll(&ready, 1, IDLE_MS) > 0 ? read(0, buffer + kept, sizeof buffer - kept) : 0;
        if (got <= 0) break;
        at = now();
        bytes += got;
        newlines += newlines_in(buffer + kept, got);
        whole = buffer[kept + got - 1] == '\n';
        char *from = buffer, *end = buffer + kept + got, *last = NULL, *mark;
        while ((mark = next_mark(last, stride, from, end)) && end - mark > DIGITS) {
            if (memcmp(mark + 1, expected, DIGITS) != 0) {
                wrong++;
                memcpy(expected, mark + 1, DIGITS);
            }
            count(expected);
            seen++;
            if (last) stride = mark - last;
            last = mark;
            from = mark + 1 + DIGITS;
        }
        kept = mark ? end - mark : 0;
        if (kept) memmove(buffer, mark, kept);
    }
    printf("sink %lld %ld %ld %ld %ld\n", at, seen, newlines, bytes, wrong);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 4 && strcmp(argv[1], "launch") == 0) return launch(atoi(argv[2]), argv + 3);
    if (argc == 5 && strcmp(argv[1], "zombies") == 0) return zombies(atoi(argv[2]), argv[3], atoi(argv[4]));
    if (argc == 3 && strcmp(argv[1], "sink") == 0) return sink(atol(argv[2]));
    errx(64, "usage: observer launch|zombies|sink ...");
}
