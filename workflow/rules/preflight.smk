# A look at a node as jobs find it: asked for by name, not part of `all`.
rule preflight:
    output:
        f"{RESULTS}/preflight.txt",
    log:
        f"{RESULTS}/logs/preflight.log",
    benchmark:
        f"{RESULTS}/benchmarks/preflight.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    # The same node would say the same again.
    retries: 0
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        results=RESULTS,
    script:
        "../scripts/preflight.py"
