"""Attribution problems with ground truth: recipes that make models, texts and retrainings.

``python -m benchmarks.truths NAME --out FOLDER`` makes one, ``python -m benchmarks.quality FOLDER …`` measures
methods on several. Nothing that is made is kept in the repository: every byte follows from a plan of
``truth_plans``, the texts and the versions of the packages.
"""
