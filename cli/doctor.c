/* doctor.c -- `retort doctor`: the hardware, libraries and speed of this machine, problems, and how to fix them. */
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/share.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct doctor_options {
    int json, quick;
};

enum mark { GOOD, NOTICE, BAD };
static const char *const marks[]  = {"good", "note", "BAD "};
static const char *const states[] = {"good", "notice", "bad"};

/* Findings as text and as elements of a JSON array; measurements as members of a JSON object. */
struct report {
    rt_buf         text, checks, numbers;
    rt_json_writer check, number;
    int            bad;
};

static rt_status doctor_add(struct report *r, enum mark mark, const char *name, const char *value, const char *advice)
{
    r->bad |= mark == BAD;
    RT_TRY(rt_buf_fmt(&r->text, "%s  %-14s %s\n", marks[mark], name, value));
    if (mark != GOOD) RT_TRY(rt_buf_fmt(&r->text, "      %-14s -> %s\n", "", advice));
    rt_put_object(&r->check, NULL);
    rt_put_text(&r->check, "name", name);
    rt_put_text(&r->check, "state", states[mark]);
    rt_put_text(&r->check, "value", value);
    if (mark != GOOD) rt_put_text(&r->check, "advice", advice);
    rt_put_end(&r->check);
    return r->check.st;
}

static rt_status check_cpu(struct report *r)
{
    char      value[256];
    rt_buf    cpu   = {0};
    const int cores = rt_cores_allowed(), threads = rt_threads();
    RT_TRY(rt_cpu_name(&cpu));
    snprintf(value, sizeof value, "%.150s; %d cores allowed, %d threads", cpu.p, cores, threads);
    rt_buf_free(&cpu);
    rt_put_real(&r->number, "cores", cores, 6);
    rt_put_real(&r->number, "threads", threads, 6);
    return doctor_add(r, threads > cores ? NOTICE : GOOD, "CPU", value,
                      "there are more threads than cores: lower OMP_NUM_THREADS, or let this process run on more cores "
                      "(taskset, mpirun --bind-to none)");
}

/* Returns 1 for OpenBLAS's kernels without wide vectors, which it selects on an unknown CPU. */
static int is_slow(const char *kernel)
{
    static const char *const slow[] = {"Prescott", "Core2", "Generic", "Katmai", "Coppermine", "Northwood", "Banias"};
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
        if (!strcasecmp(kernel, slow[i])) return 1;
    return 0;
}

static rt_status check_kernel(struct report *r)
{
    const char *warning = kn_blas_warning();
    const int   slowest = kn_at(1) != NULL && is_slow(kn_blas_kernel()); /* this CPU supports more than `ref` */
    return doctor_add(r,
                      slowest   ? BAD
                      : warning ? NOTICE
                                : GOOD,
                      "kernel", kn_describe(),
                      warning ? warning
                              : "OpenBLAS uses its slowest kernel: set OPENBLAS_CORETYPE to Haswell (AVX2) or SkylakeX (AVX-512)");
}

static rt_status check_backend(struct report *r)
{
    char value[512];
    snprintf(value, sizeof value, "%s; %s", kn_gemm_describe(), kn_gemm_why());
    return doctor_add(r, GOOD, "gemm backend", value, "");
}

static rt_status check_products(struct report *r)
{
    double    one = 0, all = 0;
    char      value[128];
    const int threads = rt_threads();
    rt_threads_set(1);
    RT_TRY(cli_measure_gemm(&one, KN_BF16, 960, 0.4));
    rt_threads_set(threads);
    RT_TRY(cli_measure_gemm(&all, KN_BF16, 960, 0.4));
    snprintf(value, sizeof value, "bf16 operands: %.0f GFLOP/s on 1 thread, %.0f on %d", one, all, threads);
    rt_put_real(&r->number, "gflops_1", one, 6);
    rt_put_real(&r->number, "gflops_all", all, 6);
    return doctor_add(r, all < 0.6 * one * threads ? NOTICE : GOOD, "gemm", value,
                      "the speed-up by threads is below 60 %: stop other programs, and check that the threads do not share physical cores");
}

static rt_status check_memory(struct report *r, int quick)
{
    const int64_t left = rt_memory_available(), wanted = quick ? (int64_t)64 << 20 : (int64_t)1 << 30;
    const int64_t bytes = left / 8 < wanted ? left / 8 : wanted;
    double        rate  = 0;
    char          value[128];
    RT_TRY(cli_measure_copy(&rate, bytes));
    snprintf(value, sizeof value, "%.1f GB available; memcpy: %.1f GB/s (arrays of %.2f GB)", (double)left / 1e9, rate,
             (double)bytes / 1e9);
    rt_put_real(&r->number, "memory_available", (double)left, 6);
    rt_put_real(&r->number, "copy_gb_s", rate, 6);
    return doctor_add(r, left < (int64_t)1 << 30 ? NOTICE : GOOD, "memory", value,
                      "less than 1 GB is available: use small models and batches; 'retort plan' estimates what a run needs");
}

/* Stores up to size - 1 bytes of a shell command's output in out.  Returns the command's status; -1: it cannot be started. */
static int doctor_run_shell(const char *command, char *out, size_t size)
{
    FILE *f = popen(command, "r");
    if (!f) return -1;
    const size_t n = fread(out, 1, size - 1, f);
    out[n]         = '\0';
    return pclose(f);
}

static void join_lines(char *s)
{
    const size_t n = strlen(s);
    if (n && s[n - 1] == '\n') s[n - 1] = '\0';
    for (; *s; s++)
        if (*s == '\n') *s = ';';
}

static rt_status check_mpi(struct report *r)
{
    char version[256], bound[256], value[640];
    if (getenv("OMPI_COMM_WORLD_SIZE")) return doctor_add(r, GOOD, "MPI", "this process is a rank under mpirun", "");
    if (doctor_run_shell("command -v mpirun >/dev/null && mpirun --version 2>/dev/null | head -1", version, sizeof version) || !*version)
        return doctor_add(r, NOTICE, "MPI", "no mpirun found",
                          "retort runs as one process; for several ranks install openmpi-bin and libopenmpi-dev and build again");
    join_lines(version);
    const int failed = doctor_run_shell(
        "timeout 20 mpirun -n 2 sed -n 's/^Cpus_allowed_list:[[:space:]]*/core /p' /proc/self/status 2>/dev/null", bound, sizeof bound);
    join_lines(bound);
    snprintf(value, sizeof value, "%s; 2 ranks %s%s", version, failed ? "cannot be started" : "may use ", failed ? "" : bound);
    return doctor_add(r, failed ? NOTICE : GOOD, "MPI", value,
                      "as root, export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; with one core, export "
                      "OMPI_MCA_rmaps_base_oversubscribe=1");
}

static rt_status check_share(struct report *r)
{
    static const char install[] =
        "install the program with cmake --install, or set RETORT_SHARE to the folder that holds teacher/ and configs/";
    rt_buf    dir = {0}, teacher = {0};
    rt_status st = RT_OK;
    if (rt_share_dir(&dir) != RT_OK) st = doctor_add(r, NOTICE, "share", rt_error_text(), install);
    else {
        st = doctor_add(r, GOOD, "share", dir.p, "");
        if (st == RT_OK) st = rt_path(&teacher, dir.p, "teacher/config.json");
        const int there = st == RT_OK && rt_file_exists(teacher.p);
        if (st == RT_OK)
            st = doctor_add(r, there ? GOOD : NOTICE, "teacher", there ? "bundled" : "the bundled teacher is missing", install);
    }
    rt_buf_free(&dir);
    rt_buf_free(&teacher);
    return st;
}

static rt_status check_libraries(struct report *r)
{
    rt_buf    b  = {0};
    rt_status st = cli_versions(&b);
    for (char *line = b.p, *next; st == RT_OK && line && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next) *next++ = '\0';
        char *space = strchr(line, ' ');
        if (!space || !strncmp(line, "kernel ", 7)) continue;
        *space = '\0';
        st     = doctor_add(r, GOOD, line, space + 1, "");
    }
    rt_buf_free(&b);
    return st;
}

static rt_status examine(struct report *r, const struct doctor_options *o)
{
    RT_TRY(kn_init_measured());
    RT_TRY(check_cpu(r));
    RT_TRY(check_kernel(r));
    RT_TRY(check_backend(r));
    RT_TRY(check_products(r));
    RT_TRY(check_memory(r, o->quick));
    RT_TRY(check_mpi(r));
    RT_TRY(check_share(r));
    return check_libraries(r);
}

static rt_status doctor_print_json(struct report *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b, .st = r->number.st};
    rt_put_object(&w, NULL);
    rt_put_bool(&w, "ok", !r->bad);
    rt_put_raw(&w, NULL, r->numbers.p + 1, r->numbers.len - 2);
    rt_put_raw(&w, "checks", r->checks.p, r->checks.len);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status doctor_run(const void *options, int argc, char **argv)
{
    const struct doctor_options *o = options;
    struct report                r = {.check.out = &r.checks, .number.out = &r.numbers};
    RT_CHECK(argc == 0, RT_EINVAL, "doctor takes no arguments, found '%s'", argv[0]);
    rt_put_array(&r.check, NULL);
    rt_put_object(&r.number, NULL);
    rt_status st = examine(&r, o);
    rt_put_end(&r.check);
    rt_put_end(&r.number);
    if (st == RT_OK && o->json) st = doctor_print_json(&r);
    else if (st == RT_OK) cli_print_text(&r.text);
    if (st == RT_OK && r.bad) st = rt_fail(RT_ECHECK, __FILE__, __LINE__, "a check is BAD: the line below it says what to do");
    rt_buf_free(&r.text);
    rt_buf_free(&r.checks);
    rt_buf_free(&r.numbers);
    return st;
}

static const rt_option doctor_table[] = {
    {"json", RT_OPT_FLAG, offsetof(struct doctor_options, json), NULL, "print one JSON object instead of the table"},
    {"quick", RT_OPT_FLAG, offsetof(struct doctor_options, quick), NULL,
     "measure memory speed with arrays of 64 MB, which may fit into a cache, instead of 1 GB"},
    {0},
};

const rt_command cli_doctor = {
    .name    = "doctor",
    .usage   = "[--json] [--quick]",
    .summary = "check this machine and suggest what to fix",
    .text    = "Checks the CPU and the cores that this process may use, the kernels in use, which gemm backend is\n"
               "used and why, the speed of matrix products and of memory, MPI and the cores of its ranks, the\n"
               "libraries, and the files that come with retort. Each line begins with good, note or BAD; a note or\n"
               "BAD is followed by a line that says what to do. Exits with 1 if a line is BAD.\n\n"
               "  retort doctor\n"
               "  retort doctor --json --quick",
    .options = doctor_table,
    .size    = sizeof(struct doctor_options),
    .run     = doctor_run,
};
