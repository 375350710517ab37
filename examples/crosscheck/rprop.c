/* An Rprop in C that the referee can talk to: iRprop- with double parameters.

       cc -O2 -o rprop rprop.c -lm
       python -m rprop_ref crosscheck --cmd ./rprop

   The protocol is one JSON object per line, described in docs/crosscheck.md. Numbers are read and written as
   hexadecimal floats, which strtod and printf convert exactly. No JSON library is needed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 4096 };

static int n;
static double x[MAX_SIZE], g[MAX_SIZE], prev[MAX_SIZE], size[MAX_SIZE];
static double lr, etas[2], limits[2], direction;

static void step(void)
{
    for (int i = 0; i < n; i++) {
        double gi = direction * g[i], product = gi * prev[i], factor = 1;
        if (product > 0)
            factor = etas[1];
        else if (product < 0)
            factor = etas[0];
        size[i] *= factor;
        if (size[i] < limits[0])
            size[i] = limits[0];
        if (size[i] > limits[1])
            size[i] = limits[1];
        if (product < 0)
            gi = 0;
        x[i] -= ((gi > 0) - (gi < 0)) * size[i];
        prev[i] = gi;
    }
}

/* The value that follows a key, or NULL. */
static const char *find(const char *line, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(line, quoted);
    return at ? at + strlen(quoted) : NULL;
}

/* Read "0x1p+0" or ["0x1p+0", ...] and return how many numbers there are. */
static int numbers(const char *line, const char *key, double *out, int max)
{
    const char *at = find(line, key);
    int count = 0;
    if (!at || *at == 'n')
        return 0;
    int list = *at == '[';
    at += list;
    while (*at == '"' && count < max) {
        char *end;
        out[count++] = strtod(at + 1, &end);
        at = end + 1;
        if (list && *at == ',')
            at += 2;
    }
    return count;
}

static void print(const char *key, const double *values)
{
    printf("\"%s\": [", key);
    for (int i = 0; i < n; i++) {
        if (isnan(values[i]))
            printf("%s\"nan\"", i ? ", " : "");
        else
            printf("%s\"%a\"", i ? ", " : "", values[i]); /* infinities are inf and -inf */
    }
    printf("]");
}

int main(void)
{
    static char line[1 << 20];
    setvbuf(stdout, NULL, _IOLBF, 1 << 16); /* so that each answer is sent at once */
    while (fgets(line, sizeof line, stdin)) {
        /* With the id of the question, an answer cannot be mistaken for that to another question. */
        const char *id = find(line, "id");
        char start[32];
        snprintf(start, sizeof start, "{\"id\": %ld", id ? strtol(id, NULL, 10) : 0);
        if (strstr(line, "\"op\": \"hello\""))
            printf("%s, \"protocol\": 1, \"name\": \"rprop.c\", \"dtypes\": [\"float64\"], \"has\": [\"none\", \"set\"]}\n", start);
        else if (strstr(line, "\"op\": \"new\"")) {
            n = numbers(line, "x0_hex", x, MAX_SIZE);
            numbers(line, "lr_hex", &lr, 1);
            numbers(line, "etas_hex", etas, 2);
            numbers(line, "step_sizes_hex", limits, 2);
            direction = strstr(line, "\"maximize\": true") ? -1 : 1;
            for (int i = 0; i < n; i++) {
                prev[i] = 0;
                size[i] = lr;
            }
            printf("%s}\n", start);
        } else if (strstr(line, "\"op\": \"set\"")) {
            numbers(line, "lr_hex", &lr, 1); /* has no effect after the start */
            numbers(line, "etas_hex", etas, 2);
            numbers(line, "step_sizes_hex", limits, 2);
            printf("%s}\n", start);
        } else if (strstr(line, "\"op\": \"step\"")) {
            if (numbers(line, "grad_hex", g, MAX_SIZE) == n) /* no numbers: no gradient */
                step();
            printf("%s, ", start);
            print("x_hex", x);
            printf(", ");
            print("prev_hex", prev);
            printf(", ");
            print("step_size_hex", size);
            printf("}\n");
        } else
            break; /* bye */
    }
    return 0;
}
