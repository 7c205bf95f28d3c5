"""Detect fraud: load data, train a model, evaluate it, and say what it looks at.

The data is real and comes with the package `river`: 1,250 web sites that people reported, 44 % of
them phishing, which is fraud by a false web site; nine features each. It is the set "Website
Phishing" of the UCI Machine Learning Repository (Abdelhamid, Ayesh and Thabtah, 2014). It is small,
old, and far more balanced than fraud is in the wild: the scores say that the pipeline works, not
how well anybody's fraud would be found.

Nothing here says where anything goes. Run it with `flowyml run examples/fraud_detection.py`, and
with `--stack NAME` on any stack of a `flowyml.yaml`.
"""

from importlib.metadata import distribution

import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.model_selection import train_test_split

from flowyml import Pipeline, context, step
from flowyml.core import Dataset, Metrics, Model

LABEL = "is_phishing"


@step(outputs=["sites"])
def load_data() -> Dataset:
    """Read the web sites that `river` ships, one row each."""
    file = distribution("river").locate_file("river/datasets/phishing.csv.gz")
    sites = pd.read_csv(str(file))
    return Dataset(data=sites, name="phishing_sites", statistics={"share": sites[LABEL].mean()})


@step(inputs=["sites"], outputs=["training_data", "test_data"])
def split(sites: Dataset) -> tuple[Dataset, Dataset]:
    """Keep a quarter of the sites away from the training."""
    train, test = train_test_split(sites.data, random_state=7, stratify=sites.data[LABEL])
    return Dataset(data=train, name="training_data"), Dataset(data=test, name="test_data")


@step(inputs=["training_data"], outputs=["model"])
def train(training_data: Dataset, trees: int, version: str) -> Model:
    """Fit a random forest."""
    features, labels = training_data.data.drop(columns=LABEL), training_data.data[LABEL]
    forest = RandomForestClassifier(n_estimators=trees, random_state=7).fit(features, labels)
    return Model(data=forest, name="fraud_detector", version=version)


@step(inputs=["model", "test_data"], outputs=["metrics"])
def evaluate(model: Model, test_data: Dataset) -> Metrics:
    """Measure it on the sites that it has not seen."""
    features, labels = test_data.data.drop(columns=LABEL), test_data.data[LABEL]
    found = model.data.predict(features)
    return Metrics(
        {
            "accuracy": model.data.score(features, labels),
            "precision": precision_score(labels, found),
            "recall": recall_score(labels, found),
            "f1": f1_score(labels, found),
        }
    )


@step(inputs=["model"], outputs=["importance"])
def explain(model: Model) -> dict[str, float]:
    """Say how much each feature counts, the most important one first."""
    forest = model.data
    shares = zip(
        forest.feature_names_in_.tolist(), forest.feature_importances_.tolist(), strict=True
    )
    return dict(sorted(shares, key=lambda share: share[1], reverse=True))


pipeline = Pipeline("fraud_detection", context=context(trees=100, version="1.0.0"))
pipeline.add_step(load_data)
pipeline.add_step(split)
pipeline.add_step(train)
pipeline.add_step(evaluate)
pipeline.add_step(explain)

if __name__ == "__main__":
    print(pipeline.run())
